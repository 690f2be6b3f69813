"""`logs`, and `stream`, its first name: what jobs have printed and print."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from cli.amounts import whole_number_of
from cli.descriptors import reader_watched, say
from cli.each import Failures, each
from cli.json_option import AsJson
from cli.lines import Lines, Look
from cli.naming import Named, shown
from cli.options import mistakes_told
from cli.output import copy
from cli.session import connected
from cli.statuses import ExitStatus
from cli.together import together
from worker.client import Client
from worker.errors import JobNotFound
from worker.selection import Selection
from worker.state import JobState, JobStatus, Stream

STREAM_EXAMPLES: Final = ("stream -j 0b5f7cf2", "stream --offset 4096 -j 0b5f7cf2")
EXAMPLES: Final = (
    "logs 0b5f7cf2",
    "logs --tail 20 0b5f7cf2",
    "logs --timestamps --stderr 0b5f7cf2",
    "logs --no-follow --json 0b5f7cf2 7d1e",
)


@dataclass(frozen=True, slots=True)
class Part:
    """Of the output."""

    offset: Annotated[
        int,
        typer.Option(
            "--offset",
            "--since-offset",
            metavar="BYTES",
            parser=whole_number_of,
            help="Where to begin.",
        ),
    ] = 0
    tail: Annotated[
        int | None,
        typer.Option(
            "--tail",
            "-n",
            metavar="LINES",
            parser=whole_number_of,
            help="Its last lines, and what follows.",
        ),
    ] = None
    stdout: Annotated[bool, typer.Option("--stdout", help="The job's stdout alone.")] = False
    stderr: Annotated[bool, typer.Option("--stderr", help="The job's stderr alone.")] = False
    follow: Annotated[
        bool,
        typer.Option("--follow/--no-follow", "-f", help="Wait for more, or end where it is now."),
    ] = True

    @property
    def options(self) -> dict[str, Any]:
        """Of `Client.output`; tagged: with the stream and time of each chunk."""
        return {
            "offset": self.offset,
            "stream": self.stream,
            "tail_lines": self.tail,
            "follow": self.follow,
            "tagged": True,
        }

    @property
    def stream(self) -> Stream:
        if self.stdout == self.stderr:
            return Stream.ALL
        return Stream.STDOUT if self.stdout else Stream.STDERR


def logs(
    context: typer.Context,
    named: Named,
    part: Part,
    *,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="UTC, before each line.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Write a job's output, from its first byte on and live; of several jobs, line by line.

    It ends when the job has ended. The job's stdout and stderr go to ours. Ctrl-C leaves the
    job running. A connection that breaks is made again, and no byte is missing or twice.

    A program that sees no terminal often keeps its output back until it has some KiB of it:
    python3 -u, stdbuf -oL and grep --line-buffered are remedies.
    """
    digits, failures = named.digits(), Failures()
    with mistakes_told():
        Selection(**part.options)

    async def written(client: Client) -> list[JobStatus | None]:
        jobs: list[UUID] = []

        async def add(job: UUID) -> None:
            jobs.append(job)

        async with reader_watched():
            await each(client, digits, add, failures)
            look = Look(timestamps=timestamps, names=len(digits) > 1, json=json)
            async with together() as tasks:
                ends = [
                    tasks.create_task(_end_of(client, job, part, look, failures)) for job in jobs
                ]
            return [end.result() for end in ends]

    which = " ".join(map(shown, digits))
    detached = f"detached; job {which} goes on: workerclient stop {which} would end it"
    statuses = connected(context, written, interrupted=detached)
    lost = [status for status in statuses if status and status.state is JobState.LOST]
    for status in lost:
        say(f"job {status.id} is lost: {status.reason}")
    failures.end()
    if lost:
        raise typer.Exit(ExitStatus.LOST)


async def _end_of(
    client: Client, job: UUID, part: Part, look: Look, failures: Failures
) -> JobStatus | None:
    """The status once all is written. None: it failed, or nobody asks, or it has been removed."""
    async with failures.told():
        await copy(client.output(job, **part.options), Lines(job, look), failures.flow)
        if part.follow:
            with suppress(JobNotFound):
                return await client.status(job)
    return None
