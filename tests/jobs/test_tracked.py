"""The keeper is asked for growth only while somebody waits, and for the nearest alone."""

import asyncio
from asyncio import TaskGroup
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.folders import request_of
from worker.errors import CannotExecute, KeeperLost
from worker.jobs.row import Row
from worker.jobs.tracked import TrackedJob
from worker.state import JobState

ROW = Row.of(request_of(), "")
RUNNING = replace(ROW, status=replace(ROW.status, state=JobState.RUNNING))
EXITED = replace(ROW.status, state=JobState.EXITED)


class Told:
    """A running job, and what the keeper was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[int] = []
        self.over = asyncio.Event()
        self.job = TrackedJob(RUNNING, folder, self.asked.append, self.over.set)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


async def settled() -> None:
    """Every task that can go on has done so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_who_wait_ask_once(told: Told) -> None:
    async with TaskGroup() as group:
        waiting = [group.create_task(told.job.wait_grown(10)) for _ in range(8)]
        await settled()
        assert told.asked == [10]
        told.job.tell_size(11)
        await settled()
        assert all(task.done() for task in waiting)
    assert told.asked == [10]


async def test_the_nearest_is_asked_for(told: Told) -> None:
    async with TaskGroup() as group:
        far = group.create_task(told.job.wait_grown(100))
        await settled()
        near = group.create_task(told.job.wait_grown(10))
        await settled()
        assert told.asked == [100, 10]
        told.job.tell_size(50)
        await settled()
        assert (near.done(), far.done()) == (True, False)
        assert told.asked == [100, 10, 100]
        told.job.tell_size(101)


async def test_who_is_behind_does_not_wait(told: Told) -> None:
    told.job.tell_size(11)
    await told.job.wait_grown(10)
    assert told.asked == []


async def test_a_waiter_that_goes_leaves_the_others_waiting(told: Told) -> None:
    async with TaskGroup() as group:
        first = group.create_task(told.job.wait_grown(10))
        second = group.create_task(told.job.wait_grown(10))
        await settled()
        first.cancel()
        await settled()
        assert not second.done()
        told.job.tell_size(11)


async def test_a_complete_job_is_read_to_its_end_and_not_asked_about(told: Told) -> None:
    (told.job.folder / "output").write_bytes(b"abc")
    async with TaskGroup() as group:
        follower = group.create_task(told.job.wait_grown(2))
        await settled()
        told.job.tell_complete()
        await settled()
        assert follower.done()
        at_the_end = group.create_task(told.job.wait_grown(3))
        await settled()
        assert not at_the_end.done()
        told.job.tell_final(EXITED)
    assert told.asked == [2]
    assert told.job.is_over


async def test_each_waiter_gets_the_failure_as_its_own(tmp_path: Path) -> None:
    job = TrackedJob(ROW, tmp_path, lambda _: None, lambda: None)
    job.tell_failure(CannotExecute("/x: not found"))
    failures = []
    for _ in range(2):
        with pytest.raises(CannotExecute, match="/x: not found") as failed:
            await job.wait_started()
        failures.append(failed.value)
    assert failures[0] is not failures[1]


async def test_nobody_waits_for_a_keeper_that_is_gone(told: Told) -> None:
    told.job.tell_failure(KeeperLost("gone"))
    assert told.over.is_set()
    await told.job.wait_started()
    await told.job.wait_grown(10)
    with pytest.raises(KeeperLost):
        await told.job.wait_final()


async def test_an_end_that_was_recorded_outweighs_a_keeper_that_is_gone(told: Told) -> None:
    told.job.tell_failure(KeeperLost("gone"))
    told.job.tell_final(EXITED)
    told.job.tell_failure(KeeperLost("gone"))
    await told.job.wait_final()
    told.job.check()
