"""What is kept of ended jobs: by age, number and bytes, and never at somebody's expense."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from tests.jobs.folders import ENDED, request_of, write_ended, write_output, write_request
from tests.jobs.removals import Removals, logged_removals
from tests.jobs.scripts import gate, read, shell
from worker import Job, Registry, Retention
from worker.errors import JobNotFound
from worker.jobs.retention import Kept, Total, due
from worker.jobs.store import Store
from worker.state import JobState

DAY = 24 * 3600.0
KEPT = [Kept(UUID(int=number), final_s=10.0 * number, size=100) for number in range(5)]
TOTAL = Total(5, 500)


@pytest.mark.parametrize(
    ("limits", "now_s", "gone", "why"),
    [
        pytest.param(Retention(), 40, 0, "", id="within all limits nothing goes"),
        pytest.param(Retention(age=30), 39.9, 1, "older than 30 s", id="by age, the oldest"),
        pytest.param(Retention(age=30), 40, 2, "older than 30 s", id="at the age itself"),
        pytest.param(Retention(age=30), 400, 5, "older than 30 s", id="by age, all of them"),
        pytest.param(Retention(jobs=5), 40, 0, "", id="as many as allowed"),
        pytest.param(Retention(jobs=3), 40, 2, "more than 3 ended jobs", id="by number"),
        pytest.param(Retention(bytes=500), 40, 0, "", id="as many bytes as allowed"),
        pytest.param(Retention(bytes=499), 40, 1, "more than 499 bytes", id="by bytes"),
        pytest.param(Retention(bytes=99), 40, 5, "more than 99 bytes", id="one is too large"),
    ],
)
def test_the_oldest_go_until_all_limits_hold(
    limits: Retention, now_s: float, gone: int, why: str
) -> None:
    found = list(due(KEPT, TOTAL, limits, now_s))
    assert [job for job, _ in found] == KEPT[:gone]
    assert {reason for _, reason in found} == ({why} if gone else set())


def test_the_service_time_goes_on_where_it_was_kept(tmp_path: Path) -> None:
    times = []
    for _ in range(3):
        store = Store(tmp_path / "jobs.db")
        times += [store.time.before, store.time.now()]
        store.keep_time()
        store.close()
    assert times == sorted(set(times))


@pytest.fixture
async def removals() -> AsyncIterator[Removals]:
    with logged_removals() as removals:
        yield removals


async def ended(registry: Registry, script: str = "echo hello") -> Job:
    job = await shell(registry, script)
    await job.wait()
    return job


async def test_by_number_the_oldest_ends_go_and_say_so(state: Path, removals: Removals) -> None:
    async with Registry(state, retention=Retention(jobs=2)) as registry:
        jobs = [await ended(registry) for _ in range(4)]
        for job in jobs[:2]:
            assert await removals.wait_removed(job) == "by retention (more than 2 ended jobs)"
            await removals.wait_deleted(job)
            with pytest.raises(JobNotFound, match=r"removed by retention \(more than 2 .* UTC"):
                await job.status()
        for job in jobs[2:]:
            assert await read(job.output()) == b"hello\n"
    assert {path.name for path in (state / "jobs").iterdir()} == {str(job.id) for job in jobs[2:]}


async def test_by_bytes_of_output_and_index(state: Path, removals: Removals) -> None:
    async with Registry(state, retention=Retention(bytes=100_000)) as registry:
        jobs = [await ended(registry, "head -c 40000 /dev/zero") for _ in range(3)]
        assert "more than 100000 bytes" in await removals.wait_removed(jobs[0])
        for job in jobs[1:]:
            assert len(await read(job.output())) == 40_000


async def test_what_ended_a_week_of_service_ago_goes_at_the_next_start(
    state: Path, removals: Removals
) -> None:
    async with Registry(state) as registry:
        old, young = await ended(registry), await ended(registry)
    with sqlite3.connect(state / "jobs.db") as table:
        table.execute("UPDATE jobs SET final_s = final_s - ? WHERE id = ?", [8 * DAY, str(old.id)])
    table.close()
    async with Registry(state) as registry:
        assert await removals.wait_removed(old) == "by retention (older than 604800 s)"
        assert (await registry.status(young.id)).exit_code == 0


@pytest.mark.parametrize("jump", [-3600, 3600, 400 * DAY], ids=["-1 h", "+1 h", "+400 d"])
async def test_a_jump_of_the_clock_removes_nothing(
    state: Path, removals: Removals, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    async with Registry(state) as registry:
        job = await ended(registry)
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + int(jump) * 10**9)
        await ended(registry)
    async with Registry(state) as registry:
        assert (await registry.status(job.id)).exit_code == 0
        await ended(registry)
    assert removals.lines == []


async def test_a_running_job_stays_whatever_it_prints(
    state: Path, removals: Removals, tmp_path: Path
) -> None:
    async with Registry(state, retention=Retention(jobs=1, bytes=50_000)) as registry:
        running = await gate(registry, tmp_path / "go", "head -c 100000 /dev/zero; exit 3")
        short = [await ended(registry) for _ in range(3)]
        for job in short[:2]:
            await removals.wait_removed(job)
        assert (await running.status()).state is JobState.RUNNING
        async with aclosing(running.output()) as chunks:
            (tmp_path / "go").write_text("\n")
            assert len(await read(chunks)) == 100_000
        await removals.wait_removed(running)


async def test_a_watched_job_stays_and_costs_no_other_its_place(
    state: Path, removals: Removals
) -> None:
    async with Registry(state, retention=Retention(jobs=2)) as registry:
        watched = await ended(registry)
        async with aclosing(watched.output()) as chunks:
            first = await anext(chunks)
            others = [await ended(registry) for _ in range(3)]
            await removals.wait_removed(others[0])
            assert (await watched.status()).exit_code == 0
            assert [(await job.status()).exit_code for job in others[1:]] == [0, 0]
            assert first.data + await read(chunks) == b"hello\n"
        await removals.wait_removed(watched)


async def test_who_waits_for_the_end_gets_it_though_nothing_is_kept(
    state: Path, removals: Removals
) -> None:
    async with Registry(state, retention=Retention(bytes=1)) as registry:
        for code in range(5):
            job = await shell(registry, f"exit {code}")
            assert (await job.wait()).exit_code == code
            await removals.wait_removed(job)


async def test_after_a_rebuild_the_oldest_by_their_ends_go(
    tmp_path: Path, removals: Removals
) -> None:
    ids = [UUID(int=number) for number in range(6)]
    for age, job_id in enumerate(ids):
        folder = tmp_path / "jobs" / str(job_id)
        write_request(folder, request_of(job_id))
        write_output(folder, b"", [])
        write_ended(folder, replace(ENDED, ended_us=ENDED.ended_us - age * 10**6))
    async with Registry(tmp_path, retention=Retention(jobs=2)) as registry:
        for job_id in ids[2:]:
            await removals.wait_removed(Job(job_id, registry))
        for job_id in ids[:2]:
            assert (await registry.status(job_id)).exit_code == 0
