"""`wait`: until jobs have ended, and with which status."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Annotated, Final
from uuid import UUID

import typer

from cli.amounts import seconds_of
from cli.descriptors import reader_watched, say, write_text
from cli.json_option import AsJson
from cli.naming import Named, ids_of
from cli.render import as_json
from cli.session import connected
from cli.statuses import ExitStatus
from cli.together import together
from worker.client import Client
from worker.state import JobState, JobStatus

EXAMPLES: Final = ("wait 0b5f7cf2", "wait --timeout 5m 0b5f7cf2 7d1e", "wait --any 0b5f7cf2 7d1e")


def wait(
    context: typer.Context,
    named: Named,
    *,
    any_: Annotated[bool, typer.Option("--any", help="Until the first of them ends.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="TIME", parser=seconds_of, help="At most: 90, 5m, 2h.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Wait until a job has ended, and exit with its code: 128 + N where signal N ended it.

    Of several it is the first that isn't 0, in the order of the command line; 124 if the time is
    up before all have ended.
    """
    digits = named.digits()

    async def waited(client: Client) -> list[JobStatus]:
        ids = await ids_of(client, digits)
        async with reader_watched() if json else nullcontext():
            return await (_first if any_ else _all)(client, ids, timeout)

    statuses = connected(context, waited, interrupted="interrupted: jobs go on")
    if json:
        write_text("".join(map(as_json, statuses)))
    ended = [each for each in statuses if each.is_final]
    counted = ended if any_ and ended else statuses
    codes = [exit_status_of(each) for each in counted]
    if not all(each.is_final for each in counted):
        raise typer.Exit(ExitStatus.TIME_IS_UP)
    raise typer.Exit(next(filter(None, codes), ExitStatus.DONE))


def exit_status_of(status: JobStatus) -> int:
    """The exit status that tells how a job ended, or that it hasn't."""
    if not status.is_final:
        say(f"job {status.id} hasn't ended: it is {status.state}")
        return ExitStatus.TIME_IS_UP
    if status.state is JobState.LOST or status.exit_code is None:
        say(f"job {status.id} is lost: {status.reason}")
        return ExitStatus.OURS
    return status.exit_code


async def _all(client: Client, ids: list[UUID], timeout: float | None) -> list[JobStatus]:
    async with together() as tasks:
        waits = [tasks.create_task(client.wait(each, timeout)) for each in ids]
    return [each.result() for each in waits]


async def _first(client: Client, ids: list[UUID], timeout: float | None) -> list[JobStatus]:
    """Those that have ended when the first one has; all, where none has in time."""
    async with together() as tasks:
        waits = [tasks.create_task(client.wait(each, timeout)) for each in ids]
        for answered in asyncio.as_completed(waits):
            if (await answered).is_final:
                break
        for each in waits:
            each.cancel()
    return [each.result() for each in waits if not each.cancelled()]
