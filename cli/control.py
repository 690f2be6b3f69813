"""`stop`, `signal`, `pause`, `resume`, `rm`: what one can do to jobs that were started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import typer

from cli.amounts import seconds_of
from cli.completion import signals_to_name
from cli.descriptors import write_text
from cli.each import Failures, each
from cli.json_option import AsJson
from cli.naming import Named, shown
from cli.options import mistakes_told
from cli.render import done_as_json
from cli.session import connected
from worker.client import Client
from worker.job import Job
from worker.spec import checked_grace_period

STOP_EXAMPLES: Final = ("stop -j 0b5f7cf2", "stop --grace 0 0b5f7cf2 7d1e")
SIGNAL_EXAMPLES: Final = ("signal HUP -j 0b5f7cf2", "signal --leader USR1 -j 0b5f7cf2")
PAUSE_EXAMPLES: Final = ("pause 0b5f7cf2",)
RESUME_EXAMPLES: Final = ("resume 0b5f7cf2",)
RM_EXAMPLES: Final = ("rm -j 0b5f7cf2",)


@dataclass(frozen=True, slots=True)
class Deed:
    do: Callable[[Job], Awaitable[None]]
    interrupted: str  # what may have happened to the jobs


def stop(
    context: typer.Context,
    named: Named,
    grace_period: Annotated[
        float | None,
        typer.Option(
            "--grace",
            "--grace-period",
            metavar="TIME",
            parser=seconds_of,
            help="Between the stop signal and SIGKILL; 0: SIGKILL at once. Default: the job's own.",
        ),
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Ask a job to end, with all its processes.

    Returns when that is recorded: the job may still need its grace period. One that has ended
    is left alone.
    """
    if grace_period is not None:
        with mistakes_told():
            checked_grace_period(grace_period)
    deed = Deed(lambda job: job.stop(grace_period=grace_period), "have been asked to end: query it")
    _done(context, named, deed, json=json)


def signal(
    context: typer.Context,
    signal_name: Annotated[
        str,
        typer.Argument(
            metavar="SIGNAL", autocompletion=signals_to_name, help="HUP, SIGUSR1, 10, ..."
        ),
    ],
    named: Named,
    *,
    leader: Annotated[
        bool, typer.Option("--leader", help="Its first process alone, not all of them.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Send a signal to all processes of a job."""
    if not named.names and not named.job:
        raise typer.BadParameter("the signal or the job is missing: workerclient signal HUP JOB")
    deed = Deed(lambda job: job.signal(signal_name, leader_only=leader), "have got the signal")
    _done(context, named, deed, json=json)


def pause(context: typer.Context, named: Named, *, json: AsJson = False) -> None:
    """Halt all processes of a job (SIGSTOP), until it is resumed or stopped."""
    _done(context, named, Deed(Job.pause, "be paused: query it"), json=json)


def resume(context: typer.Context, named: Named, *, json: AsJson = False) -> None:
    """Let a paused job go on (SIGCONT)."""
    _done(context, named, Deed(Job.resume, "go on: query it"), json=json)


def rm(context: typer.Context, named: Named, *, json: AsJson = False) -> None:
    """Forget a job that has ended, with its output. One that runs is refused: stop it first."""
    _done(context, named, Deed(Job.remove, "have been removed"), json=json)


def _done(context: typer.Context, named: Named, deed: Deed, *, json: bool) -> None:
    digits, failures = named.digits(), Failures()

    async def done(client: Client) -> None:
        async def do(job: UUID) -> None:
            await deed.do(Job(job, client))
            if json:
                write_text(done_as_json(job))

        await each(client, digits, do, failures)

    which = " ".join(map(shown, digits))
    connected(context, done, interrupted=f"interrupted: job {which} may {deed.interrupted}")
    failures.end()
