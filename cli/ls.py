"""`ls`: which jobs there are."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from cli.changes import changes_among
from cli.completion import states_to_name
from cli.descriptors import STDOUT, reader_watched, text_bytes
from cli.flow import Flow
from cli.json_option import AsJson
from cli.parameters import filled
from cli.render import as_json
from cli.session import connected
from cli.spec import Several, label
from cli.table import HEAD, row
from worker.client import Client
from worker.listing import ALL_JOBS, JobFilter
from worker.state import FINAL, LIVE, JobState, JobStatus

EXAMPLES: Final = ("ls", "ls --all --state lost", "ls --label team=a --json", "ls --watch")
RECENT: Final = 20  # jobs that have ended


@dataclass(frozen=True, slots=True)
class Which:
    all: Annotated[
        bool, typer.Option("--all", help=f"Not the {RECENT} newest alone of those that ended.")
    ] = False
    state: Annotated[
        Several,
        typer.Option(
            metavar="STATE",
            autocompletion=states_to_name,
            help="started, running, exited, stopped or lost; again for more.",
        ),
    ] = None
    label: Annotated[
        Several, typer.Option(metavar="NAME=VALUE", help="That bear it; again for more.")
    ] = None
    owner: Annotated[
        str | None,
        typer.Option(metavar="NAME", parser=filled, help="Whose certificate started it."),
    ] = None

    @property
    def states(self) -> frozenset[JobState]:
        return frozenset(map(state_of_name, self.state or []))

    def among(self, states: frozenset[JobState]) -> JobFilter:
        labels = dict(map(label, self.label or []))
        return JobFilter(states=states, labels=labels, owner=self.owner or "")

    def has(self, job: JobStatus) -> bool:
        """What `watch`, which knows no filter, is filtered by."""
        which = self.among(self.states)
        return (
            (not which.states or job.state in which.states)
            and (not which.owner or job.owner == which.owner)
            and which.labels.items() <= job.labels.items()
        )


def state_of_name(name: str) -> JobState:
    if name not in set(JobState):
        names = ", ".join(JobState)
        raise typer.BadParameter(f"{name!r} is none of {names}", param_hint="--state")
    return JobState(name)


def ls(
    context: typer.Context,
    which: Which,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with each change, until Ctrl-C.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List jobs, newest first: those that haven't ended, and the newest of those that have."""

    async def listed(client: Client) -> None:
        flow, head = Flow(), "" if json else HEAD
        async with reader_watched():
            since = await _reached(client) if watch else 0
            shown: set[UUID] = set()
            async with aclosing(_found(client, which, flow)) as jobs:
                async for job in jobs:
                    await _write(flow, job, json=json, head=head)
                    head = ""
                    shown.add(job.id)
            await flow.write(STDOUT, text_bytes(head))  # of no job
            if watch:
                async with aclosing(changes_among(client, which.has, since, shown)) as changes:
                    async for job in changes:
                        await _write(flow, job, json=json)

    which.among(which.states)  # what is wrong is said before anything is dialled
    connected(context, listed)


async def _reached(client: Client) -> int:
    """A revision that each later change is beyond, also one that comes while jobs are listed."""
    newest = await client.page(ALL_JOBS)
    return max((job.revision for job in newest.jobs), default=0)


async def _found(client: Client, which: Which, flow: Flow) -> AsyncGenerator[JobStatus, None]:
    states = which.states
    if which.all:
        async for job in client.list(which.among(states)):
            yield job
        return
    live, ended = (states or LIVE) & LIVE, (states or FINAL) & FINAL
    if live:
        async for job in client.list(which.among(live)):
            yield job
    if ended:
        async for job in _newest(client, which.among(ended), flow):
            yield job


async def _newest(client: Client, which: JobFilter, flow: Flow) -> AsyncGenerator[JobStatus, None]:
    """At most RECENT, over as many pages as that takes; that there are more is said."""
    left, token = RECENT, ""
    while True:
        page = await client.page(which, limit=left + 1, token=token)
        for job in page.jobs[:left]:
            yield job
        if len(page.jobs) > left:
            await flow.say(f"more jobs have ended than the {RECENT} newest: --all shows them")
            return
        left, token = left - len(page.jobs), page.next_token
        if not token:
            return


async def _write(flow: Flow, job: JobStatus, *, json: bool, head: str = "") -> None:
    text = as_json(job) if json else row(job, datetime.now(UTC))
    await flow.write(STDOUT, text_bytes(head + text))
