"""`stop`, `query`, `stream`, `rm`: what one can do with a job that was started."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import Annotated, Final
from uuid import UUID

import typer

from cli.descriptors import STDERR, STDOUT, reader_watched, say, write, write_text
from cli.render import as_json, summary
from cli.session import connected
from cli.statuses import ExitStatus
from worker.client import Client
from worker.spec import MAX_GRACE_PERIOD
from worker.state import JobState, JobStatus, Stream

ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def job_id_of(text: str) -> UUID:
    # UUID alone would also take braces, urn:uuid: and dashes anywhere.
    if not ID.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no job id: 32 hexadecimal digits, dashes optional")
    return UUID(text)


JobID = Annotated[
    UUID,
    typer.Option(
        "-j", "--job", parser=job_id_of, metavar="ID", help="The job: what start has printed."
    ),
]


def stop(
    context: typer.Context,
    job: JobID,
    grace_period: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=MAX_GRACE_PERIOD,
            help="Between SIGTERM and SIGKILL; 0: SIGKILL at once. Default: the job's own.",
        ),
    ] = None,
) -> None:
    """Ask a job to end, with all its processes.

    Returns when that is recorded: the job may still need its grace period. One that has ended
    is left alone.
    """

    async def stopped(client: Client) -> None:
        await client.stop(job, grace_period=grace_period)

    interrupted = f"interrupted: job {job} may have been asked to end: query it"
    connected(context, stopped, interrupted=interrupted)


def query(
    context: typer.Context,
    job: JobID,
    *,
    json: Annotated[
        bool, typer.Option("--json", help="One line of JSON; what isn't known has no key.")
    ] = False,
) -> None:
    """Show what is known about a job."""

    async def queried(client: Client) -> JobStatus:
        return await client.status(job)

    status = connected(context, queried)
    write_text(as_json(status) if json else summary(status))


def stream(
    context: typer.Context,
    job: JobID,
    offset: Annotated[int, typer.Option(metavar="BYTES", min=0, help="Where to begin.")] = 0,
) -> None:
    """Write a job's output, from its first byte on and live.

    It ends when the job has ended. The job's stdout and stderr go to ours. Ctrl-C leaves the
    job running. A connection that breaks is made again, and no byte is missing or twice.

    A program that sees no terminal often keeps its output back until it has some KiB of it:
    python3 -u, stdbuf -oL and grep --line-buffered are remedies.
    """

    async def streamed(client: Client) -> JobStatus:
        async with reader_watched(STDOUT):
            await copy_output(client, job, offset)
        return await client.status(job)

    detached = f"detached; job {job} goes on: workerclient stop -j {job} would end it"
    status = connected(context, streamed, interrupted=detached)
    if status.state is JobState.LOST:
        say(f"job {job} is lost: {status.reason}")
        raise typer.Exit(ExitStatus.LOST)


def remove(context: typer.Context, job: JobID) -> None:
    """Forget a job that has ended, with its output. One that runs is refused: stop it first."""

    async def removed(client: Client) -> None:
        await client.remove(job)

    connected(context, removed, interrupted=f"interrupted: job {job} may have been removed")


async def copy_output(client: Client, job: UUID, offset: int) -> None:
    """A chunk is written before the next is asked for: a slow reader slows the server down."""
    async with aclosing(client.output(job, offset=offset, tagged=True)) as chunks:
        async for chunk in chunks:
            if chunk.skipped:
                say(f"{chunk.skipped} bytes of output were dropped before offset {chunk.offset}")
            write(STDERR if chunk.stream is Stream.STDERR else STDOUT, chunk.data)
