"""A watcher is told each job's latest state, in order, and goes on from a revision."""

import asyncio
import shutil
import tracemalloc
from asyncio import TaskGroup
from contextlib import aclosing, closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.jobs.folders import request_of
from tests.jobs.scripts import all_of
from worker import Registry
from worker.errors import CannotExecute, JobNotFound, NotNow
from worker.jobs import roster, tombstones
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.spec import JobSpec
from worker.state import JobState, JobStatus

NO_TOMBSTONE_COMES = """
CREATE TEMP TRIGGER none_comes BEFORE INSERT ON tombstones BEGIN SELECT RAISE(ABORT, 'full'); END
"""
NO_ROW_GOES = """
CREATE TEMP TRIGGER no_row_goes BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, "full"); END
"""


def execute(registry: Registry, statement: str) -> None:
    registry._session().store._database.execute(statement)


async def watched(registry: Registry, count: int, since: int = 0) -> list[JobStatus]:
    """The next `count`."""
    statuses: list[JobStatus] = []
    async with aclosing(registry.watch(since=since)) as watching:
        async for status in watching:
            statuses.append(status)
            if len(statuses) == count:
                break
    return statuses


async def test_one_job_is_watched_to_its_end(registry: Registry) -> None:
    job = await registry.start("cat", "/dev/stdin")
    statuses = [status async for status in registry.watch(job.id)]
    assert statuses[-1] == await job.status()
    assert statuses[-1].state is JobState.EXITED
    revisions = [status.revision for status in statuses]
    assert revisions == sorted(set(revisions))


async def test_of_a_job_that_has_ended_nothing_more_is_waited_for(registry: Registry) -> None:
    job = await registry.start("true")
    ended = await job.wait()
    assert [status async for status in registry.watch(job.id, since=ended.revision)] == []
    assert [status async for status in registry.watch(job.id)] == [ended]


async def test_all_jobs_are_told_in_order_of_revision(registry: Registry) -> None:
    for _ in range(3):
        await (await registry.start("true")).wait()
    statuses = await watched(registry, 3)
    assert [status.state for status in statuses] == [JobState.EXITED] * 3
    revisions = [status.revision for status in statuses]
    assert revisions == sorted(set(revisions))


async def test_what_is_known_is_not_told_again(registry: Registry) -> None:
    first = await (await registry.start("true")).wait()
    second = await (await registry.start("false")).wait()
    assert await watched(registry, 1, since=first.revision) == [second]


async def test_a_change_wakes_a_watcher(registry: Registry) -> None:
    job = await registry.start("sleep", "60")
    async with aclosing(registry.watch(job.id)) as watching:
        assert (await anext(watching)).state is JobState.RUNNING
        await job.stop()
        assert (await anext(watching)).state is JobState.STOPPED
        with pytest.raises(StopAsyncIteration):
            await anext(watching)


async def test_a_removal_is_told_once(registry: Registry) -> None:
    job = await registry.start("true")
    ended = await job.wait()
    await job.remove()
    (status,) = await watched(registry, 1, since=ended.revision)
    assert (status.id, status.removed, status.state) == (job.id, True, JobState.EXITED)
    assert status.reason.startswith("removed")
    assert status.revision > ended.revision
    with pytest.raises(JobNotFound, match="was removed"):
        await anext(registry.watch(job.id))


async def test_a_watch_of_one_job_that_is_resumed_tells_of_its_removal_and_ends(
    registry: Registry,
) -> None:
    job = await registry.start("true")
    ended = await job.wait()
    await job.remove()
    (told,) = await all_of(registry.watch(job.id, since=ended.revision))
    assert (told.id, told.removed, told.state) == (job.id, True, JobState.EXITED)
    with pytest.raises(JobNotFound, match="was removed"):
        await anext(registry.watch(job.id, since=told.revision))


async def test_revisions_go_on_after_a_restart(state: Path) -> None:
    async with Registry(state) as registry:
        before = await (await registry.start("true")).wait()
    async with Registry(state) as registry:
        after = await (await registry.start("true")).wait()
        assert await watched(registry, 1, since=before.revision) == [after]


async def test_no_revision_is_given_twice_whatever_a_power_cut_took_back(state: Path) -> None:
    async with Registry(state) as registry:
        first = await (await registry.start("true")).wait()
        taken = await (await registry.start("true")).wait()
        execute(registry, f"DELETE FROM jobs WHERE revision > {first.revision}")
    shutil.rmtree(state / "jobs" / str(taken.id))
    async with Registry(state) as registry:
        after = await (await registry.start("true")).wait()
        assert after.revision > taken.revision
        assert await watched(registry, 1, since=taken.revision) == [after]


async def test_a_start_that_fails_is_told_as_removed_and_its_id_stays_free(
    registry: Registry,
) -> None:
    job_id = uuid4()
    async with aclosing(registry.watch()) as watching:
        with pytest.raises(CannotExecute):
            await registry.submit(JobSpec("/nonexistent/program"), job_id=job_id)
        status = await anext(watching)
        assert (status.id, status.removed, status.state) == (job_id, True, JobState.STARTED)
        assert status.reason == "removed as its start failed"
        ended = await (await registry.submit(JobSpec("true"), job_id=job_id)).wait()
        assert [await anext(watching)] == [ended]
    assert [each async for each in registry.watch(job_id)] == [ended]


async def test_of_a_start_that_fails_a_later_watcher_hears_too(state: Path) -> None:
    async with Registry(state) as registry:
        before = await (await registry.start("true")).wait()
        with pytest.raises(CannotExecute):
            await registry.start("/nonexistent/program")
    async with Registry(state) as registry:
        (told,) = await watched(registry, 1, since=before.revision)
        assert told.removed


async def test_a_table_that_was_rebuilt_gives_no_revision_again(state: Path) -> None:
    async with Registry(state) as registry:
        before = await (await registry.start("true")).wait()
    (state / "jobs.db").unlink()
    async with Registry(state) as registry:
        with pytest.raises(NotNow, match="begin with 0"):
            await anext(registry.watch(since=before.revision))
        (again,) = await watched(registry, 1)
        assert again.id == before.id
        assert again.revision > before.revision


async def test_a_revision_that_was_never_given_is_refused(registry: Registry) -> None:
    with pytest.raises(NotNow, match="begin with 0"):
        await anext(registry.watch(since=2**62))


def test_forgotten_removals_make_older_cursors_useless(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "MOST", 1)
    state.mkdir()
    with closing(Store(state / "jobs.db")) as store:
        rows = store.add(*(Row.of(request_of(), "") for _ in range(2)))
        cursor = rows[-1].status.revision
        store.revisions.check(cursor)
        for row in rows:
            store.bury([(row.status.id, "")])
        with pytest.raises(NotNow):
            store.revisions.check(cursor)
        store.revisions.check(0)


async def test_a_watcher_that_missed_removals_is_told_so(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "MOST", 1)
    jobs = [await registry.start("true") for _ in range(3)]
    for job in jobs:
        await job.wait()
    async with aclosing(registry.watch()) as watching:
        assert (await anext(watching)).id in {job.id for job in jobs}
        for job in jobs[:2]:
            await job.remove()
        with pytest.raises(NotNow, match="begin with 0"):
            await anext(watching)


async def test_what_was_forgotten_before_is_nothing_to_who_begins_with_0(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "MOST", 1)
    stays, *going = [await registry.start("true") for _ in range(3)]
    for job in (stays, *going):
        await job.wait()
    for job in going:
        await job.remove()
    told = await watched(registry, 2)
    assert [status.id for status in told] == [stays.id, going[-1].id]


async def test_a_watcher_that_does_not_read_holds_one_job(registry: Registry) -> None:
    for _ in range(20):
        await (await registry.start("true", "x" * 100_000)).wait()
    async with aclosing(registry.watch()) as watching:
        tracemalloc.start()
        try:
            await anext(watching)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 500_000


async def test_who_watches_no_job_is_told_so(registry: Registry) -> None:
    with pytest.raises(JobNotFound):
        await anext(registry.watch(uuid4()))


async def test_a_job_that_nobody_can_tell_of_is_told_as_its_row_has_it(registry: Registry) -> None:
    running = await registry.start("sleep", "60")
    execute(registry, NO_ROW_GOES)
    with pytest.raises(CannotExecute):
        await registry.start("/nonexistent/program")
    for told in ([each async for each in registry.list()][::-1], await watched(registry, 2)):
        assert [status.state for status in told] == [JobState.RUNNING, JobState.STARTED]
        assert told[0].id == running.id


async def test_a_start_that_failed_is_told_as_removed_once_its_row_can_go(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a full disk has room again; then its id may be tried again, too."""
    monkeypatch.setattr(roster, "_AGAIN_S", 0)
    first = await (await registry.start("true")).wait()
    execute(registry, NO_TOMBSTONE_COMES)
    job_id = uuid4()
    with pytest.raises(CannotExecute):
        await registry.submit(JobSpec("/nonexistent/program"), job_id=job_id)
    execute(registry, "DROP TRIGGER none_comes")
    async with aclosing(registry.watch(since=first.revision)) as statuses:
        gone = await anext(status async for status in statuses if status.removed)
    assert gone.id == job_id
    assert await (await registry.submit(JobSpec("true"), job_id=job_id)).wait()


async def test_an_end_that_can_not_be_recorded_is_told_all_the_same(registry: Registry) -> None:
    job = await registry.start("cat", input=True)
    running = await job.status()
    async with TaskGroup() as tasks:
        one = tasks.create_task(all_of(registry.watch(job.id, since=running.revision)))
        every = tasks.create_task(watched(registry, 1, since=running.revision))
        await asyncio.sleep(0)  # both wait
        execute(registry, "PRAGMA query_only = ON")  # as on a full disk
        await job.send_input(b"", end=True)
    execute(registry, "PRAGMA query_only = OFF")
    assert one.result() == every.result() == [await job.status()]
    assert one.result()[0].state is JobState.EXITED


async def test_who_watches_a_job_that_nobody_can_tell_of_is_told_why(registry: Registry) -> None:
    execute(registry, NO_ROW_GOES)
    job_id = uuid4()
    with pytest.raises(CannotExecute):
        await registry.submit(JobSpec("/nonexistent/program"), job_id=job_id)
    with pytest.raises(CannotExecute):
        await all_of(registry.watch(job_id))
