"""Ids of jobs, states and signals for the shell's Tab key."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

import typer

from cli.render import printable
from cli.session import config_of
from worker.client import Client
from worker.errors import WorkerError
from worker.listing import JobFilter
from worker.state import FINAL, LIVE, JobState, JobStatus

PATIENCE: Final = 3.0  # seconds: a person has pressed Tab and waits
MANY: Final = 50
STATES: Final[Mapping[str | None, frozenset[JobState]]] = {
    "stop": LIVE,
    "signal": LIVE,
    "pause": LIVE,
    "resume": LIVE,
    "rm": FINAL,
}  # of the jobs that the verb is for; of any other: all


def take_shell(arguments: list[str]) -> None:
    """Of `--install-completion zsh`: typer takes its name only where it may not look for one."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for option, word in pairwise(words):
        if option in ("--install-completion", "--show-completion") and not word.startswith("-"):
            os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"


def states_to_name(incomplete: str) -> list[str]:
    return [state for state in JobState if state.startswith(incomplete)]


def signals_to_name(incomplete: str) -> list[str]:
    """With SIG before it or without."""
    names = [each.name for each in signal.Signals]
    return [
        name
        for each in names
        for name in (each.removeprefix("SIG"), each)
        if name.startswith(incomplete) and (incomplete or name != each)
    ]


def jobs_to_name(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The newest jobs whose id goes on so, that the verb is for, and that no word names yet.

    Whatever goes wrong, the shell shows nothing.
    """
    group = context.find_root()
    try:
        which = JobFilter(id_prefix=incomplete, states=STATES.get(context.info_name, frozenset()))
        jobs = asyncio.run(_asked(group.params.get("config"), which))
    except (WorkerError, TimeoutError):
        return
    named = [*(context.params.get("names") or []), *(context.params.get("job") or [])]
    for job in jobs:
        if any(job.id.hex.startswith(name.replace("-", "").lower()) for name in named):
            continue
        # No word of the job's own: zsh reads the description as code, and typer escapes too little.
        yield str(job.id), printable(job.state)


async def _asked(config: str | None, which: JobFilter) -> tuple[JobStatus, ...]:
    async with asyncio.timeout(PATIENCE), Client(config_of(config), patience=0) as client:
        return (await client.page(which, limit=MANY)).jobs
