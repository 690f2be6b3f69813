"""`run`: a job as if it were a command here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import uuid4

import typer

from cli.asked import Asked, ending_heard
from cli.attached import attached, started
from cli.descriptors import say
from cli.flow import Flow
from cli.json_option import AsJson
from cli.lines import Look
from cli.session import connected
from cli.spec import Bounds, Surroundings, spec_of
from cli.start import Words, print_started
from cli.statuses import ExitStatus
from cli.wait import exit_status_of
from worker.client import Client
from worker.state import Cause, JobState, JobStatus

EXAMPLES: Final = (
    "run -- make all",
    "run sh -args -c 'exit 3'",
    "run --stdin -- wc -l < file",
    "run --detach -- ./nightly",
)


@dataclass(frozen=True, slots=True)
class Manner:
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Our stdin is the job's; else it has /dev/null.")
    ] = False
    detach: Annotated[bool, typer.Option("--detach", help="As start: print the id and leave.")] = (
        False
    )
    show_id: Annotated[bool, typer.Option("--show-id", help="Say the id on stderr.")] = False
    timestamps: Annotated[bool, typer.Option("--timestamps", help="UTC, before each line.")] = False


def run(
    context: typer.Context,
    around: Surroundings,
    bounds: Bounds,
    manner: Manner,
    words: Words = None,
    *,
    json: AsJson = False,
) -> None:
    """Run a job as if it were a command here, and exit with its code (128 + N for signal N).

    Its stdout and stderr are ours. Ctrl-C stops it, a second one kills it. With --json each line
    of output is an object, and the last one is the status.
    """
    if manner.detach and manner.stdin:
        raise typer.BadParameter("a job that is left alone has no stdin", param_hint="--detach")
    spec = spec_of(words or [], around, bounds, has_input=manner.stdin)
    if manner.detach:
        print_started(context, spec, json=json)
        return
    job_id, asked = uuid4(), Asked()

    async def ran(client: Client) -> JobStatus:
        flow, look = Flow(), Look(timestamps=manner.timestamps, json=json)
        with ending_heard(asked):
            job = await started(client.submit(spec, job_id), job_id, asked, flow)
            if manner.show_id:
                await flow.say(f"job {job.id}")
            return await attached(job, asked, look, flow, has_input=manner.stdin)

    def left() -> str:
        state = "has ended" if asked.job_ended.is_set() else "may run"
        return f"interrupted: job {job_id} {state}: query it"

    status = connected(context, ran, interrupted=left)
    was_asked = asked.once.is_set()
    if (why := why_cut_short(status, was_asked=was_asked)) and status.state is not JobState.LOST:
        say(f"job {status.id}: {why}")
    code = exit_status_of(status)  # says of a lost job that it is
    raise typer.Exit(code or _instead_of_success(status, was_asked=was_asked))


def why_cut_short(status: JobStatus, *, was_asked: bool) -> str:
    """Empty for a job that ended by itself, or because we were asked to end it."""
    if status.cause is Cause.STOP and not was_asked and not status.reason:
        return f"stopped by {status.stopped_by}" if status.stopped_by else "stopped"
    if status.cause is Cause.SHUTDOWN and not status.reason:
        return "stopped, since the service was told to end"
    return status.reason


def _instead_of_success(status: JobStatus, *, was_asked: bool) -> ExitStatus:
    """A job that was cut short isn't done, though it may have made its code 0 of it."""
    if status.cause is Cause.TIME_LIMIT:
        return ExitStatus.TIME_IS_UP
    is_cut_short = was_asked or status.cause in (Cause.STOP, Cause.SHUTDOWN)
    return ExitStatus.INTERRUPTED if is_cut_short else ExitStatus.DONE
