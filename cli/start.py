"""`start`: a job that goes on by itself."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID, uuid4

import typer

from cli.descriptors import CannotWrite, ReaderGone, say, write_text
from cli.json_option import AsJson
from cli.render import done_as_json
from cli.session import connected
from cli.spec import Bounds, Surroundings, spec_of
from worker.client import Client
from worker.spec import JobSpec

EXAMPLES: Final = (
    "start ls -args -la /tmp",
    "start -- ls -la /tmp",
    "start --env LANG=C.UTF-8 --cwd /srv -- make all",
    "start --timeout 2h --memory 1GiB --label team=a -- ./nightly",
)
Words = Annotated[list[str] | None, typer.Argument(hidden=True)]


def start(
    context: typer.Context,
    around: Surroundings,
    bounds: Bounds,
    words: Words = None,
    *,
    json: AsJson = False,
) -> None:
    """Start a job; print its id."""
    print_started(context, spec_of(words or [], around, bounds), json=json)


def print_started(context: typer.Context, spec: JobSpec, *, json: bool) -> None:
    job_id = uuid4()

    async def submitted(client: Client) -> UUID:
        return (await client.submit(spec, job_id)).id

    told = f"interrupted: job {job_id} may have been started: query it"
    started = connected(context, submitted, interrupted=told)
    try:
        write_text(done_as_json(started) if json else f"{started}\n")
    except (CannotWrite, ReaderGone):
        say(f"job {started} is started")  # or nobody would find it again
        raise
