"""What is done each time a state directory is opened, whatever happened before.

Rows that aren't final, and folders without a row, are compared with the keeper's list. Nobody
starts jobs meanwhile: the keeper lists once no earlier server is alive.
"""

from __future__ import annotations

import logging
from asyncio import TaskGroup
from pathlib import Path
from uuid import UUID

from worker.errors import SetupError
from worker.jobs.ending import lost_status
from worker.jobs.folder import TornFile, read_request
from worker.jobs.roster import Roster
from worker.jobs.store import Row, Store
from worker.jobs.tracked import TrackedJob
from worker.keeper.messages import Listed, Spawn

log = logging.getLogger(__name__)


def reconcile(roster: Roster, store: Store, listed: list[Listed]) -> list[TrackedJob]:
    """Track what isn't final; return those of it that the keeper doesn't have."""
    _adopt(store, roster.folder)
    running = {job.job: job for job in listed}
    rest = []
    for row in store.unfinished():
        found = running.get(row.request.job)
        job = roster.track(row, size=found.size if found else 0)
        if found is None:
            rest.append(job)
        elif found.started_us is None:
            roster.spawn(job)  # it is starting: asked once more, the keeper answers us too
        else:
            roster.run(job, found.started_us)
    return rest


async def end(roster: Roster, jobs: list[TrackedJob], epoch: str) -> None:
    """Say what became of `jobs`. Raises SetupError for a file of a newer version."""
    try:
        async with TaskGroup() as ends:
            for job in jobs:
                ends.create_task(_end(roster, job, epoch))
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        if isinstance(first, SetupError):
            raise first from None
        raise


async def _end(roster: Roster, job: TrackedJob, epoch: str) -> None:
    if job.folder.exists():
        await roster.finish(job)
    elif job.row.epoch == epoch:
        roster.spawn(job)  # this keeper was never asked
    else:  # nothing may start a week later
        reason = "it was never started: the keeper ended before that"
        roster.settle(job, await lost_status(job.status, job.folder, reason))


def _adopt(store: Store, folder: Path) -> None:
    """A row for each folder that has none: the table may be new, or older than its folders."""
    known = store.ids()
    for job in folder.iterdir():
        if job.name not in known and _is_id(job.name):
            store.add(Row.of(_request_of(job), epoch=""))


def _request_of(folder: Path) -> Spawn:
    """Where it is torn, the id is all that is left of what was asked."""
    try:
        request = read_request(folder)
    except TornFile as error:
        log.error("%s", error)  # noqa: TRY400 - one line for one bad job
    else:
        if request.job == folder.name:
            return request
        log.error("%s/request is of another job, %s", folder, request.job)
    return Spawn(
        ask=0,
        job=folder.name,
        command="",
        arguments=[],
        environment={},
        path="",
        directory="",
        merged=False,
        grace_s=0.0,
        output_cap=0,
        owner="",
        labels={},
        created_us=folder.stat().st_mtime_ns // 1000,
    )


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
