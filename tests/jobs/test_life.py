"""A job from start to end, with a real keeper: exit, status, stop."""

from asyncio import TaskGroup

import pytest

from tests.jobs.conftest import descriptors
from tests.jobs.scripts import IGNORES_TERM, read, shell, wait_for
from worker import Registry
from worker.spec import JobSpec
from worker.state import Cause, JobState, Outcome


@pytest.mark.parametrize(
    ("script", "code", "name"),
    [
        pytest.param("exit 0", 0, None, id="success"),
        pytest.param("exit 7", 7, None, id="the leader's code is the job's"),
        pytest.param("exit 255", 255, None, id="255 is a code"),
        pytest.param("exit 137", 137, None, id="137 is a code"),
        pytest.param("kill -KILL $$", 137, "SIGKILL", id="a signal is told apart from a code"),
        pytest.param("kill -SEGV $$", 139, "SIGSEGV", id="a crash"),
        pytest.param("kill -35 $$", 163, "SIGRTMIN+1", id="a real-time signal"),
        pytest.param("sleep 987 & exit 3", 3, None, id="children left behind are ended"),
    ],
)
async def test_the_exit_is_exact(
    registry: Registry, script: str, code: int, name: str | None
) -> None:
    status = await (await shell(registry, script)).wait()
    assert (status.state, status.cause) == (JobState.EXITED, Cause.OWN_EXIT)
    assert (status.exit_code, status.signal) == (code, name)
    assert status.outcome is (Outcome.EXITED if name is None else Outcome.SIGNALED)


async def test_a_status_says_what_was_asked_and_when(registry: Registry) -> None:
    spec = JobSpec("sh", ("-c", "echo out; echo error >&2"), labels={"team": "blue"})
    job = await registry.submit(spec, owner="alice")
    status = await job.wait()
    assert (status.id, status.command, status.arguments) == (job.id, "sh", spec.arguments)
    assert (status.owner, status.labels) == ("alice", {"team": "blue"})
    assert (status.output.stdout, status.output.stderr, status.output.total) == (4, 6, 10)
    times = status.created_at, status.started_at, status.leader_exited_at, status.ended_at
    known = [time for time in times if time is not None]
    assert len(known) == 4
    assert known == sorted(known)
    assert await job.status() == status


async def test_what_runs_has_no_end_but_counts_its_output(registry: Registry) -> None:
    job = await shell(registry, "echo 12345; echo 1 >&2; echo ready; exec sleep 987")
    await wait_for(job, b"ready")
    status = await job.status()
    assert status.state is JobState.RUNNING
    assert (status.outcome, status.exit_code, status.cause, status.ended_at) == (None,) * 4
    assert (status.output.stdout, status.output.stderr) == (12, 2)


async def test_waiting_has_a_time_limit(registry: Registry) -> None:
    job = await registry.start("sleep", "987")
    assert (await job.wait(timeout=0)).state is JobState.RUNNING
    assert (await job.wait(timeout=0.01)).state is JobState.RUNNING


async def test_a_stop_is_term_and_says_by_whom(registry: Registry) -> None:
    job = await shell(
        registry, 'trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 9 & wait; done'
    )
    await wait_for(job, b"ready")
    await registry.stop(job.id, by="bob")
    status = await job.wait()
    assert (status.state, status.cause, status.stopped_by) == (JobState.STOPPED, Cause.STOP, "bob")
    assert (status.outcome, status.exit_code) == (Outcome.EXITED, 5)
    assert (await read(job.output())).endswith(b"bye\n")


async def test_what_ignores_term_is_killed_after_its_grace(registry: Registry) -> None:
    job = await shell(registry, IGNORES_TERM)
    await wait_for(job, b"ready")
    await job.stop(grace_period=0.05)
    status = await job.wait()
    assert (status.state, status.exit_code, status.signal) == (JobState.STOPPED, 137, "SIGKILL")


async def test_a_second_stop_may_shorten_the_first(registry: Registry) -> None:
    job = await shell(registry, IGNORES_TERM)
    await wait_for(job, b"ready")
    await job.stop(grace_period=3600)
    assert (await job.status()).state is JobState.RUNNING
    await job.stop(grace_period=0)
    assert (await job.wait()).signal == "SIGKILL"


async def test_an_ended_job_is_left_alone_by_a_stop(registry: Registry) -> None:
    job = await shell(registry, "exit 5")
    before = await job.wait()
    await job.stop()
    await job.stop(grace_period=0)
    assert await job.status() == before


async def test_300_short_jobs_leave_nothing(registry: Registry) -> None:
    await (await registry.start("true")).wait()
    before = descriptors()

    async def once(number: int) -> None:
        job = await shell(registry, f"echo {number}; exit {number % 256}")
        assert await read(job.output()) == b"%d\n" % number
        assert (await job.wait()).exit_code == number % 256

    for start in range(0, 300, 30):
        async with TaskGroup() as group:
            for number in range(start, start + 30):
                group.create_task(once(number))
    assert descriptors() == before
