"""A removed job is gone, says so, and never runs again; whatever is killed on the way."""

import os
import signal
import subprocess
import sys
from asyncio import TaskGroup
from asyncio.subprocess import create_subprocess_exec
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.jobs.folders import request_of
from tests.jobs.removals import Removals, logged_removals
from tests.jobs.scripts import read, shell
from worker import Job, Registry
from worker.errors import JobExists, JobNotFound, NoRoom, NotNow
from worker.jobs import fault, tombstones
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.spec import JobSpec
from worker.state import JobState

ROOT = Path(__file__).parents[2]
HELLO = JobSpec("echo", ("hello",))


@pytest.fixture
async def removals() -> AsyncIterator[Removals]:
    with logged_removals() as removals:
        yield removals


async def ended(registry: Registry, spec: JobSpec = HELLO) -> Job:
    job = await registry.submit(spec)
    await job.wait()
    return job


async def was_removed(registry: Registry, job_id: UUID, how: str = "") -> bool:
    with pytest.raises(JobNotFound, match=f"^job {job_id} was removed {how}at 20.* UTC$"):
        await registry.status(job_id)
    with pytest.raises(JobExists, match=f"^the job ran as {job_id} and was removed {how}at 20"):
        await registry.submit(HELLO, job_id=job_id)
    return True


async def test_a_removed_job_is_gone_with_its_output_and_says_by_whom(
    registry: Registry, state: Path, removals: Removals
) -> None:
    job = await ended(registry)
    await registry.remove(job.id, by="alice")
    assert await was_removed(registry, job.id, "by alice ")
    for ask in (job.wait(), job.stop(), job.remove()):
        with pytest.raises(JobNotFound, match="was removed by alice"):
            await ask
    with pytest.raises(JobNotFound, match="was removed by alice"):
        job.output()
    await removals.wait_deleted(job)
    assert list((state / "jobs").iterdir()) == []


async def test_another_request_is_told_that_it_was_another(registry: Registry) -> None:
    job = await ended(registry)
    await job.remove()
    with pytest.raises(JobExists, match=f"another request ran as {job.id} and was removed at"):
        await registry.submit(JobSpec("true"), job_id=job.id)


async def test_it_stays_removed_after_the_next_start(state: Path) -> None:
    async with Registry(state) as registry:
        job = await ended(registry)
        await job.remove()
    async with Registry(state) as registry:
        assert await was_removed(registry, job.id)


async def test_a_running_job_is_not_removed(registry: Registry) -> None:
    job = await registry.start("sleep", "987")
    with pytest.raises(NotNow, match=f"job {job.id} hasn't ended"):
        await job.remove()
    assert (await job.status()).state is JobState.RUNNING


async def test_whoever_waits_gets_the_end_though_it_is_removed_at_once(registry: Registry) -> None:
    async def remove(job: Job) -> None:
        """As soon as it may be."""
        while True:
            with suppress(NotNow):
                return await job.remove()
            await job.wait()

    for _ in range(30):
        job = await shell(registry, "exec sleep 987")
        async with TaskGroup() as group:
            waiting = [group.create_task(job.wait()) for _ in range(2)]
            reading = group.create_task(read(job.output()))
            group.create_task(remove(job))
            await job.stop(grace_period=0)
        assert [task.result().signal for task in waiting] == ["SIGKILL"] * 2
        assert reading.result() == b""


async def test_who_reads_a_removed_output_gets_all_of_it_then_its_folder_goes(
    registry: Registry, removals: Removals
) -> None:
    job = await ended(registry, JobSpec("seq", ("200000",)))
    async with aclosing(job.output()) as chunks:
        first = await anext(chunks)
        await job.remove()
        with pytest.raises(JobNotFound):
            await registry.status(job.id)
        whole = first.data + await read(chunks)
    await removals.wait_deleted(job)
    assert whole == b"".join(b"%d\n" % number for number in range(1, 200_001))


PROGRAM = """
import asyncio, sys
from uuid import UUID
from worker import Registry
from worker.spec import JobSpec

async def main():
    async with Registry(sys.argv[1]) as registry:
        job = await registry.submit(JobSpec("echo", ("hello",)), job_id=UUID(sys.argv[2]))
        await job.wait()
        await registry.remove(job.id, by="alice")
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "point", [fault.BETWEEN_TOMBSTONE_AND_RENAME, fault.BETWEEN_RENAME_AND_DELETION]
)
async def test_a_removal_cut_short_by_a_kill_is_completed_by_the_next_start(
    state: Path, removals: Removals, point: str
) -> None:
    job_id = uuid4()
    killed = await create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, state, str(job_id)),
        env=os.environ | {"WORKER_FAULT_POINTS": f"{point}=1"},
        cwd=ROOT,
    )
    assert await killed.wait() == -signal.SIGKILL
    [left] = (state / "jobs").iterdir()
    async with Registry(state) as registry:
        assert await was_removed(registry, job_id, "by alice ")
        await removals.wait_deleted(Job(job_id, registry))
    assert not left.exists()
    assert list((state / "jobs").iterdir()) == []


async def test_a_tombstone_that_a_power_cut_took_is_set_again(
    state: Path, removals: Removals
) -> None:
    async with Registry(state) as registry:
        job = await ended(registry)
    folder = state / "jobs" / str(job.id)
    folder.rename(f"{folder}.removed")
    async with Registry(state) as registry:
        assert await was_removed(registry, job.id)
        await removals.wait_deleted(job)


async def test_a_job_that_never_had_a_folder_is_removed_too(state: Path) -> None:
    (state / "jobs").mkdir(0o700, parents=True)
    store = Store(state / "jobs.db")
    store.add(row := Row.of(request_of(), "another keeper"))
    store.close()
    async with Registry(state) as registry:
        assert (await registry.status(row.status.id)).state is JobState.LOST
        await registry.remove(row.status.id)
        with pytest.raises(JobNotFound, match="was removed at"):
            await registry.status(row.status.id)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    state = tmp_path / "small"
    state.mkdir(0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", state], check=True)
    yield state
    subprocess.run(["umount", state], check=True)


async def test_a_full_disk_keeps_nobody_from_making_room(
    small_disk: Path, removals: Removals
) -> None:
    async with Registry(small_disk) as registry:
        job = await ended(registry, JobSpec("head", ("-c", "300000", "/dev/zero")))
        fill(small_disk / "filler")
        with pytest.raises(NoRoom):
            await registry.submit(HELLO)
        await job.remove()
        await removals.wait_deleted(job)
        again = await ended(registry)
        assert await read(again.output()) == b"hello\n"
    async with Registry(small_disk) as registry:
        with pytest.raises(JobNotFound, match="was removed at"):
            await registry.status(job.id)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_tombstones_are_no_more_than_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "MOST", 3)
    ids = [buried(store) for _ in range(5)]
    assert [store.tombstones.find(job_id) is None for job_id in ids] == [True, True, *[False] * 3]


def test_starts_that_failed_push_no_tombstone_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often two ids are tried in turn: each try lifts the one before."""
    monkeypatch.setattr(tombstones, "MOST", 3)
    monkeypatch.setattr(tombstones, "MOST_NEVER_STARTED", 3)
    ids = [buried(store), buried(store)]
    failing = [Row.of(request_of(), "epoch") for _ in range(2)]
    for row in failing * 5:
        store.add(row)
        store.bury([(row.status.id, "as its start failed")], has_run=False)
    ids.append(buried(store))
    assert all(store.tombstones.find(job_id) for job_id in ids)
    assert not any(store.tombstones.find(row.status.id) for row in failing)


def test_tombstones_are_kept_for_a_week_of_service(store: Store) -> None:
    job_id, now_s = buried(store), store.time.now()
    store.tombstones.drop_old(now_s + tombstones.KEPT_S - 60)
    assert store.tombstones.find(job_id)
    store.tombstones.drop_old(now_s + tombstones.KEPT_S)
    assert store.tombstones.find(job_id) is None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "jobs.db")
    yield store
    store.close()


def buried(store: Store) -> UUID:
    store.add(row := Row.of(request_of(), "epoch"))
    store.bury([(row.status.id, "by alice")])
    return row.status.id
