"""Whatever is killed, whenever: the next to open the directory tells the truth."""

import os
import select
import signal
import subprocess
import sys
from asyncio import TaskGroup
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from tests.jobs.conftest import children
from tests.jobs.scripts import all_of, read, shell, wait_for
from worker import Registry
from worker.errors import KeeperLost
from worker.keeper.cgroup import folder_for
from worker.state import Cause, JobState, Outcome

PROGRAM = """
import asyncio, sys
from worker import Registry

async def main():
    async with Registry(sys.argv[1]) as registry:
        job = await registry.start("sh", "-c", sys.argv[2], grace_period=float(sys.argv[3]))
        try:
            async for chunk in job.output():
                print(job.id, flush=True)
        finally:
            print("closing", flush=True)

asyncio.run(main())
"""
COPIED = """
import asyncio, os, signal, sys
from worker import Registry

async def main():
    async with Registry(sys.argv[1]) as registry:
        job = await registry.start("sh", "-c", sys.argv[2])
        copy = os.fork()
        if not copy:
            os.close(1)
            signal.pause()
        print(copy, flush=True)
        async for chunk in job.output():
            print(chunk.data.decode(), flush=True)

asyncio.run(main())
"""
NAP = f"sleep 98{os.getpid()}"  # of this run of the tests alone
ROOT = Path(__file__).parents[2]


def keeper_pid() -> int:
    [pid] = children()
    return int(pid)


def processes(words: str) -> list[str]:
    """Pids of those whose command line contains `words`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(path.parent.name)
        except OSError:
            continue  # it ended meanwhile
    return found


@contextmanager
def program(
    state: Path, script: str, grace_period: float = 10
) -> Iterator[tuple["subprocess.Popen[str]", UUID]]:
    """Another program with a Registry, and its job, which it has seen printing."""
    argv = [sys.executable, "-c", PROGRAM, str(state), script, str(grace_period)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process, UUID(process.stdout.readline().strip())
        finally:
            process.kill()


async def failure_of(answer: Awaitable[object]) -> Exception:
    with pytest.raises(KeeperLost) as failure:
        await answer
    return failure.value


async def test_a_killed_keeper_fails_every_waiter_and_nothing_else(registry: Registry) -> None:
    ended = await shell(registry, "echo hello; exit 3")
    status = await ended.wait()
    job = await shell(registry, f"echo ready; exec {NAP}")
    await wait_for(job, b"ready")

    followers = [read(job.output()) for _ in range(4)]
    watchers = [all_of(registry.watch()), all_of(registry.watch(job.id))]
    async with TaskGroup() as group:
        waiting = [
            group.create_task(failure_of(each)) for each in (*followers, *watchers, job.wait())
        ]
        os.kill(keeper_pid(), signal.SIGKILL)
    assert {type(task.result()) for task in waiting} == {KeeperLost}
    with pytest.raises(KeeperLost):
        await registry.start("true")
    assert await ended.status() == status
    assert {each.id async for each in registry.list()} == {ended.id, job.id}
    assert await read(ended.output()) == b"hello\n"
    assert await read(job.output(follow=False)) == b"ready\n"


async def test_what_a_killed_keeper_left_is_ended_at_once(registry: Registry, state: Path) -> None:
    folder = folder_for(state)
    if folder is None:
        pytest.skip("without cgroup v2 it is the next start that ends them")
    job = await shell(registry, f"setsid {NAP} & echo ready; wait")
    await wait_for(job, b"ready")
    os.kill(keeper_pid(), signal.SIGKILL)
    assert not await registry.wait_keeper_gone()
    assert processes(NAP) == []
    assert not folder.exists()


async def test_after_a_killed_keeper_what_ran_is_lost_and_readable(state: Path) -> None:
    async with Registry(state) as registry:
        job = await shell(registry, f"echo ready; echo e >&2; exec {NAP}")
        await wait_for(job, b"ready")
        await wait_for(job, b"e\n")
        os.kill(keeper_pid(), signal.SIGKILL)
        assert not await registry.wait_keeper_gone()
    async with Registry(state) as registry:
        status = await registry.status(job.id)
        assert (status.state, status.outcome, status.cause) == (
            JobState.LOST,
            Outcome.LOST,
            Cause.LOST,
        )
        assert (status.exit_code, status.signal, status.ended_at) == (None, None, None)
        assert status.started_at is not None
        assert status.reason
        assert (status.output.stdout, status.output.stderr) == (6, 2)
        assert len(await read(registry.output(job.id))) == 8
        assert await registry.wait(job.id) == status
        await registry.stop(job.id)
    assert processes(NAP) == []


async def test_a_killed_program_leaves_ended_jobs_and_the_next_one_knows(state: Path) -> None:
    with program(state, f"echo ready; exec {NAP}") as (process, job_id):
        process.kill()
        process.wait()
        async with Registry(state) as registry:  # waits for the keeper that still ends the job
            status = await registry.status(job_id)
            assert await read(registry.output(job_id)) == b"ready\n"
    assert (state / "jobs" / str(job_id) / "ended").exists()
    assert (status.state, status.cause) == (JobState.STOPPED, Cause.SHUTDOWN)
    assert processes(NAP) == []


def test_a_killed_program_ends_its_jobs_though_a_copy_of_it_lives(state: Path) -> None:
    """As multiprocessing makes them: it holds all that the program held."""
    argv = [sys.executable, "-c", COPIED, str(state), f"echo $$; exec {NAP}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        copy, job = (int(process.stdout.readline()) for _ in range(2))
        pidfd = os.pidfd_open(job)
        process.kill()
        gone, _, _ = select.select([pidfd], [], [], 10)
        os.close(pidfd)
        os.kill(copy, signal.SIGKILL)
        assert gone


async def test_what_ignores_term_outlives_its_program_only_by_its_grace(state: Path) -> None:
    script = f'trap "" TERM; echo ready; while :; do {NAP}; done'
    with program(state, script, grace_period=0.3) as (process, job_id):
        process.kill()
        process.wait()
        async with Registry(state) as registry:
            status = await registry.status(job_id)
    assert (status.state, status.signal) == (JobState.STOPPED, "SIGKILL")
    assert processes(NAP) == []


async def test_ctrl_c_ends_the_jobs_in_order(state: Path) -> None:
    with program(state, f"echo ready; exec {NAP}") as (process, job_id):
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0
    async with Registry(state) as registry:
        status = await registry.status(job_id)
    assert (status.state, status.signal) == (JobState.STOPPED, "SIGTERM")


async def test_a_second_ctrl_c_kills(state: Path) -> None:
    script = 'trap "" TERM; echo ready; while :; do sleep 1; done'
    with program(state, script, grace_period=3600) as (process, job_id):
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert "closing\n" in process.stdout
        process.send_signal(signal.SIGINT)
        process.wait()
    async with Registry(state) as registry:
        status = await registry.status(job_id)
    assert (status.state, status.cause, status.signal) == (
        JobState.STOPPED,
        Cause.SHUTDOWN,
        "SIGKILL",
    )


async def test_ten_kills_under_load_lose_nothing(state: Path) -> None:
    known: dict[UUID, int] = {}
    for round_ in range(10):
        async with Registry(state) as registry:
            jobs = {
                await shell(registry, f"seq 1 2000; exit {number}"): number
                for number in range(round_, round_ + 12)
            }
            for job, number in list(jobs.items())[:6]:
                assert (await job.wait()).exit_code == number
            known.update({job.id: number for job, number in jobs.items()})
            os.kill(keeper_pid(), signal.SIGKILL)
            await registry.wait_keeper_gone()
    whole = b"".join(b"%d\n" % number for number in range(1, 2001))
    async with Registry(state) as registry:
        statuses = {job_id: await registry.status(job_id) for job_id in known}
        outputs = {job_id: await read(registry.output(job_id)) for job_id in known}
    ended = {job_id for job_id, status in statuses.items() if status.state is JobState.EXITED}
    lost = {job_id for job_id, status in statuses.items() if status.state is JobState.LOST}
    assert ended | lost == known.keys()
    assert len(ended) >= 60
    assert all(statuses[job_id].exit_code == known[job_id] for job_id in ended)
    assert all(outputs[job_id] == whole for job_id in ended)
    assert all(whole.startswith(outputs[job_id]) for job_id in lost)
