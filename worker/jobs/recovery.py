"""What is done each time a state directory is opened, whatever happened before.

Rows that aren't final are compared with the keeper's list; a folder has its row by then. Nobody
starts jobs meanwhile: the keeper lists once no earlier server is alive.
"""

from __future__ import annotations

from asyncio import TaskGroup

from worker.errors import SetupError, Unavailable
from worker.jobs.barrier import costing_only
from worker.jobs.ending import lost_status
from worker.jobs.keeper_client import KeeperClient
from worker.jobs.roster import Roster
from worker.jobs.store import Store
from worker.jobs.tracked import TrackedJob
from worker.keeper.messages import Listed
from worker.state import JobState, JobStatus


def reconcile(roster: Roster, store: Store, listed: list[Listed]) -> list[TrackedJob]:
    """Track what isn't final; return those of it that the keeper doesn't have."""
    running = {job.job: job for job in listed}
    rest = []
    for row in store.unfinished():
        found = running.get(row.request.job)
        job = roster.track(row, size=found.size if found else 0)
        if found is None:
            rest.append(job)
            continue
        with costing_only(job):
            roster.change(job, is_paused=found.is_paused, reason=found.reason)
            if found.started_us is None:
                roster.spawn(job)  # it is starting: asked once more, the keeper answers us too
            elif job.status.state is JobState.RUNNING:
                roster.keep_durable(job)
            else:
                roster.run(job, found.started_us)
    return rest


async def end(roster: Roster, jobs: list[TrackedJob], keeper: KeeperClient) -> None:
    """Say what became of `jobs`. Raises SetupError for a file of a newer version."""
    try:
        async with TaskGroup() as ends:
            for job in jobs:
                ends.create_task(_end(roster, job, keeper))
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        if isinstance(first, SetupError):
            raise first from None
        raise


async def _end(roster: Roster, job: TrackedJob, keeper: KeeperClient) -> None:
    with costing_only(job, unless=(SetupError,)):
        await _settle(roster, job, keeper)


async def _settle(roster: Roster, job: TrackedJob, keeper: KeeperClient) -> None:
    if job.folder.exists():
        await roster.finish(job)
    elif job.status.state is JobState.STARTED and job.row.epoch == keeper.epoch:
        if job.row.request.job in keeper.refused:
            roster.forget(job, Unavailable("its start failed: try again"))
        else:
            roster.spawn(job)  # this keeper was never asked
    else:  # nothing may start a week later, or twice
        roster.settle(job, await lost_status(job.status, job.folder, _without_folder(job.status)))


def _without_folder(status: JobStatus) -> str:
    if status.state is JobState.STARTED:
        return "it was never started: the keeper ended before that"
    return "its folder is gone"
