"""All jobs: those that aren't final in memory, the others in the table.

A row stands before its job is started, and a job's files are durable before its final row: so
a kill between any two lines leaves what the next start can complete.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future, Task, TaskGroup
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, assert_never
from uuid import UUID

from worker.errors import InternalError, JobError, JobNotFound, NoRoom, Unavailable
from worker.jobs import fault
from worker.jobs.barrier import costing_only
from worker.jobs.clock import utc
from worker.jobs.durable import kept_durable
from worker.jobs.ending import final_status
from worker.jobs.folder import size_of
from worker.jobs.keeper_client import Answer, KeeperClient, error_of, keeper_lost
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.jobs.tracked import TrackedJob
from worker.jobs.watchers import Watchers
from worker.keeper.messages import (
    Changed,
    Done,
    Ended,
    Grown,
    Refusal,
    Refused,
    Running,
    Spawn,
    Stop,
)
from worker.state import JobState, JobStatus

_AGAIN_S: Final = 5.0  # on a full disk

Step = Callable[[TrackedJob], Coroutine[None, None, None]]

log = logging.getLogger(__name__)


class Roster:
    """`folder` holds the jobs' folders; `group` runs what goes on after its caller is gone.

    `changed` is set when a job has ended or lost its last watcher: one more may be removed.
    """

    def __init__(self, folder: Path, store: Store, keeper: KeeperClient, group: TaskGroup) -> None:
        self.folder = folder
        self._store, self._keeper, self._group = store, keeper, group
        self._tracked: dict[UUID, TrackedJob] = {}
        self._endless: set[Task[None]] = set()
        self._has_ceased = self.is_closed = False
        self.changed = asyncio.Event()
        self.watchers = Watchers(self.changed)

    def find(self, job_id: UUID) -> TrackedJob:
        """Raises JobNotFound."""
        return self._tracked.get(job_id) or self._of(self._store.find(job_id))

    @contextmanager
    def watching(self, job_id: UUID) -> Iterator[TrackedJob]:
        """It isn't removed meanwhile, unless somebody asks for that. Raises JobNotFound."""
        job = self.find(job_id)
        with self.watchers.one_more(job_id):
            yield job

    def knows(self, request: Spawn) -> bool:
        """Was it started before? Raises JobExists for another request under its id."""
        return self._store.knows(request)

    def start(self, request: Spawn) -> TrackedJob:
        """Its row first. The start goes on by itself: `wait_started` tells what became of it."""
        (row,) = self._store.add(Row.of(request, self._keeper.epoch))
        fault.point(fault.AFTER_THE_ROW)
        job = self.track(row)
        self.spawn(job)
        return job

    def track(self, row: Row, *, size: int = 0) -> TrackedJob:
        job = self._of(row, size=size)
        self._tracked[row.status.id] = job
        return job

    def spawn(self, job: TrackedJob) -> None:
        """Sent here, not in the task: a Stop that follows must come after it."""
        answer = self._keeper.ask(job.row.request)
        self._go_on(job, partial(self._spawned, answer=answer))

    async def stop(self, job: TrackedJob, grace_s: float | None, by: str) -> None:
        with suppress(JobNotFound):  # over meanwhile: that is no error
            await self._keeper.answered(Stop(0, job.row.request.job, by, grace_s))

    def kill_all(self) -> None:
        """Without waiting for an answer."""
        for job in self._tracked.values():
            self._keeper.ask(Stop(0, job.row.request.job, "", 0.0))

    def heed(self, event: Running | Changed | Grown | Ended) -> None:
        """What the keeper tells of one job."""
        job = self._tracked.get(UUID(event.job))
        if job is None:
            return  # Grown may cross with the end
        with costing_only(job):
            self._tell(job, event)

    def _tell(self, job: TrackedJob, event: Running | Changed | Grown | Ended) -> None:
        match event:
            case Running():
                self.run(job, event.started_us)
            case Changed():
                self.change(job, is_paused=event.is_paused, reason=event.reason)
            case Grown():
                job.tell_size(event.size)
            case Ended():
                self._go_on(job, self.finish)
            case _:
                assert_never(event)

    def run(self, job: TrackedJob, started_us: int | None) -> None:
        """Its execve(2) has succeeded; told a second time, nothing follows."""
        if job.status.state is JobState.STARTED:
            status = replace(job.status, state=JobState.RUNNING, started_at=utc(started_us))
            status = self._store.revised(status)
            self._store.record(status)
            job.tell_started(status)
            self.keep_durable(job)

    def change(self, job: TrackedJob, *, is_paused: bool, reason: str) -> None:
        """Of one that runs: paused or not any more, or why it can't be ended."""
        status = replace(job.status, paused=is_paused, reason=reason)
        if status != job.status and not job.is_complete:
            job.status = self._store.revised(status)
            self._store.record(job.status)

    def keep_durable(self, job: TrackedJob) -> None:
        """As long as it runs."""
        self._until_left(job, kept_durable)

    async def finish(self, job: TrackedJob) -> None:
        """The one way a job becomes final: its files, then its row, then whoever waits."""
        if job.is_complete:
            return
        job.tell_complete()
        status = await final_status(job.status, job.folder)
        fault.point(fault.BETWEEN_TOLD_AND_RECORDED)
        self.settle(job, status)

    def settle(self, job: TrackedJob, status: JobStatus) -> None:
        """A row that can't be written stays as it was; the next start reads the folder again."""
        status = self._store.revised(status)
        if self._store.record(status, size_of(job.folder)):
            fault.point(fault.BETWEEN_RECORD_AND_ANSWER)
            self.drop(status.id)
        job.tell_final(status)
        self.changed.set()

    def drop(self, job_id: UUID) -> None:
        """It is final, or removed: nobody tells of it any more."""
        self._tracked.pop(job_id, None)

    @property
    def is_settled(self) -> bool:
        """Nothing more will be told of any job."""
        return all(job.is_over for job in self._tracked.values())

    def keeper_gone(self) -> None:
        """Nobody tells of an end any more: those that are recorded are read, the rest fails."""
        for job in list(self._tracked.values()):
            if job.is_complete:
                continue
            if (job.folder / "ended").exists():
                self._go_on(job, self.finish)
            else:
                job.tell_failure(keeper_lost())
        self._store.revisions.tell()

    def cease(self) -> None:
        """Before `group` is left: its tasks end by themselves, but for these."""
        self._has_ceased = True
        for task in self._endless:
            task.cancel()

    def close(self) -> None:
        """Nobody waits here for ever; an end that was told of is still recorded."""
        self.is_closed = True
        for job in self._tracked.values():
            if not job.is_complete:
                job.tell_failure(closed())
        self._store.revisions.tell()

    def _go_on(self, job: TrackedJob, step: Step) -> Task[None]:
        async def alone() -> None:
            with costing_only(job):
                await step(job)

        return self._group.create_task(alone())

    def _until_left(self, job: TrackedJob, step: Step) -> None:
        if self._has_ceased:  # the group is being left, and nobody would end it
            return
        task = self._go_on(job, step)
        self._endless.add(task)
        task.add_done_callback(self._endless.discard)

    async def _spawned(self, job: TrackedJob, answer: Future[Answer]) -> None:
        answered = await answer
        fault.point(fault.BEFORE_THE_ANSWER)
        match answered:
            case Done():
                self.run(job, None)  # it was running before we asked
            case Refused(refusal=Refusal.EXISTS):
                await self.finish(job)
            case Refused() as refused:
                self.forget(job, error_of(refused))
            case _:  # it may run or not: the next start knows
                job.tell_failure(keeper_lost())

    def forget(self, job: TrackedJob, why: JobError) -> None:
        """A start that fails is no job: its id may be tried again once its row is gone."""
        try:
            self._store.bury([(job.status.id, "as its start failed")], has_run=False)
            self.drop(job.status.id)
        except (NoRoom, InternalError) as error:
            log.error("job %s: its row can't be removed yet: %s", job.status.id, error)
            self._until_left(job, partial(self._forget_later, why=why))
        job.tell_failure(why)

    async def _forget_later(self, job: TrackedJob, why: JobError) -> None:
        await asyncio.sleep(_AGAIN_S)
        self.forget(job, why)

    def _of(self, row: Row, *, size: int = 0) -> TrackedJob:
        job = row.request.job
        tell: Callable[[int], None] = partial(self._keeper.tell_beyond, job)
        return TrackedJob(row, self.folder / job, tell, self._store.revisions.tell, size=size)


def closed() -> Unavailable:
    return Unavailable("this Registry is closed")
