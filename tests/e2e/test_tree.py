"""A job is a tree: whatever its processes do, a stop or the leader's end leaves none of them.

Each row runs through the real server, with cgroups and without.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.hanging import hanging
from tests.e2e.service import Service, serving
from tests.jobs.scripts import wait_for
from tests.keeper.test_ways import without_cgroups
from worker.errors import JobNotFound
from worker.spec import JobSpec
from worker.state import Cause, JobState, JobStatus

MARK = "98701"  # seconds to sleep: nobody else's argument
STRAY = "98702"


@pytest.fixture(scope="module", params=["with cgroups", "without cgroups"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Path
) -> Iterator[Service]:
    before = without_cgroups() if request.param == "without cgroups" else []
    with serving(tmp_path_factory.mktemp("tree"), certificates, before=before) as started:
        yield started


def alive(mark: str = MARK) -> list[bytes]:
    """Command lines of what the rows leave behind."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in line:
            found.append(line)
    return found


@dataclass(frozen=True)
class Row:
    script: str
    code: int | None = None
    signal: str | None = None
    is_stopped: bool = True  # else it ends by itself
    grace: float = 5.0
    prints: bytes = b""


FORKS_TWICE = f"setsid sh -c 'sleep {MARK} & exit' "
IGNORING = "trap '' TERM; "
ROWS = {
    "children in the background": Row(
        f"sleep {MARK} & sleep {MARK} & echo up; wait; exec sleep {MARK}", signal="SIGTERM"
    ),
    "a child with a session of its own": Row(
        f"setsid sleep {MARK} & echo up; wait; exec sleep {MARK}", signal="SIGTERM"
    ),
    "a double fork with its own session": Row(
        f"{FORKS_TWICE}; echo up; exec sleep {MARK}", signal="SIGTERM"
    ),
    "scripts that call scripts": Row(
        f"bash -c 'bash -c \"echo up; sleep {MARK}; :\"; :'; :", signal="SIGTERM"
    ),
    "all ignore SIGTERM": Row(
        f"{IGNORING}(sleep {MARK}; sleep {MARK}) & echo up; wait; sleep {MARK}",
        signal="SIGKILL",
        grace=0.3,
    ),
    "stopped by SIGSTOP": Row(
        f"sleep {MARK} & echo up; kill -STOP $!; kill -STOP $$; exec sleep {MARK}", signal="SIGTERM"
    ),
    "the leader ends, others hold its pipes": Row(
        f"sleep {MARK} & echo up; exit 3", code=3, is_stopped=False
    ),
    "the leader ends, the rest ignores SIGTERM": Row(
        f"({IGNORING}echo up; sleep {MARK}; sleep {MARK}) & sleep 0.1; exit 4",
        code=4,
        is_stopped=False,
        grace=0.3,
    ),
    "a daemon at the normal end": Row(f"{FORKS_TWICE}; exit 5", code=5, is_stopped=False),
    "the leader dies at once, its child ends in order": Row(
        f"(trap 'sleep 0.3; echo in-order; exit' TERM; echo up; sleep {MARK} & wait) & "
        f"trap - TERM; wait; exec sleep {MARK}",
        signal="SIGTERM",
        prints=b"in-order",
    ),
    "born in a loop between SIGTERM and SIGKILL": Row(
        f"{IGNORING}echo up; while :; do sleep {MARK} & sleep 0.05; done",
        signal="SIGKILL",
        grace=0.4,
    ),
    "closed stdout": Row(
        f"echo up; exec >&- 2>&-; sleep {MARK} & wait; exec sleep {MARK}", signal="SIGTERM"
    ),
    "exec of another program": Row(f"echo up; exec sleep {MARK}", signal="SIGTERM"),
    "an exit of its own in time": Row(
        f"trap 'exit 7' TERM; echo up; sleep {MARK} & while :; do wait; sleep 0.1; done", code=7
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_nothing_is_left(service: Service, row: Row) -> None:
    async with client_for(service) as client:
        job = await client.start("bash", "-c", row.script, grace_period=row.grace)
        if row.is_stopped:
            await wait_for(job, b"up")
            await job.stop()
        status = await job.wait()
        assert alive() == []
        assert row.prints in await text_of(job)
    assert_ended(status, row)


def assert_ended(status: JobStatus, row: Row) -> None:
    state = JobState.STOPPED if row.is_stopped else JobState.EXITED
    cause = Cause.STOP if row.is_stopped else Cause.OWN_EXIT
    code = row.code
    if row.signal is not None:
        code = 128 + signal.Signals[row.signal]
    assert (status.state, status.cause, status.signal, status.exit_code) == (
        state,
        cause,
        row.signal,
        code,
    )


async def test_a_double_fork_with_a_cleared_environment(service: Service) -> None:
    """Only a cgroup catches it at once; else it is a stray, and ended with the keeper."""
    has_cgroups = "in cgroups below" in service.log.read_text()
    async with client_for(service) as client:
        script = f"env -i setsid sh -c 'sleep {STRAY} & exit'; exit 6"
        job = await client.start("bash", "-c", script)
        assert (await job.wait()).exit_code == 6
    if has_cgroups:
        assert alive(STRAY) == []
    else:
        assert alive(STRAY)
        assert "stray process" in service.log.read_text()


def test_a_stray_ends_with_the_keeper(tmp_path: Path, certificates: Path) -> None:
    async def leave_one(service: Service) -> None:
        async with client_for(service) as client:
            script = "env -i setsid sh -c 'sleep 98703 & exit'; exit 6"
            job = await client.start("bash", "-c", script)
            assert (await job.wait()).exit_code == 6

    with serving(tmp_path, certificates, before=without_cgroups()) as service:
        asyncio.run(leave_one(service))
        assert alive("98703")
    assert alive("98703") == []


async def test_each_child_of_a_leader_that_dies_at_once_is_asked_to_end(service: Service) -> None:
    """They come to the keeper between its two signals."""
    child = f"(trap 'echo in-order; exit' TERM; echo up; sleep {MARK} & wait) & "
    async with client_for(service) as client:
        for _ in range(15):
            job = await client.start("bash", "-c", f"{child * 4} wait; exec sleep {MARK}")
            seen = b""
            async for chunk in job.output():
                seen += chunk.data
                if seen.count(b"up") == 4:
                    break
            await job.stop()
            await job.wait()
            assert (await text_of(job)).count(b"in-order") == 4


async def test_two_stops_at_once_are_one(service: Service) -> None:
    async with client_for(service) as client:
        job = await client.start("sleep", MARK)
        await asyncio.gather(job.stop(), job.stop())
        status = await job.wait()
    assert (status.state, status.signal) == (JobState.STOPPED, "SIGTERM")


async def test_a_stop_while_it_starts(service: Service) -> None:
    async with client_for(service) as client:
        for _ in range(20):
            job_id = uuid4()
            starting = asyncio.create_task(client.submit(JobSpec("sleep", (MARK,)), job_id))
            while True:
                try:
                    await client.stop(job_id)
                except JobNotFound:
                    continue
                break
            await starting
            assert (await client.wait(job_id)).state is JobState.STOPPED


async def test_a_stop_that_races_the_natural_end_is_never_wrong(service: Service) -> None:
    async with client_for(service) as client:

        async def raced() -> JobStatus:
            job = await client.start("sh", "-c", "exit 9")
            await job.stop()
            return await job.wait()

        for _ in range(20):
            for status in await asyncio.gather(*(raced() for _ in range(25))):
                if status.state is JobState.STOPPED:
                    assert status.cause is Cause.STOP
                else:
                    assert (status.exit_code, status.cause) == (9, Cause.OWN_EXIT)


async def test_fifty_stops_at_once_and_others_are_answered(service: Service) -> None:
    script = f"{IGNORING}echo up; sleep {MARK}; sleep {MARK}"
    async with client_for(service) as client:
        jobs = await asyncio.gather(
            *(client.start("bash", "-c", script, grace_period=2) for _ in range(50))
        )
        await asyncio.gather(*(wait_for(job, b"up") for job in jobs))
        await asyncio.gather(*(job.stop() for job in jobs))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await jobs[0].status()
        assert loop.time() - began < 1
        ended = await asyncio.gather(*(job.wait() for job in jobs))
    assert {status.signal for status in ended} == {"SIGKILL"}
    spans = [s.ended_at - s.created_at for s in ended if s.ended_at and s.created_at]
    assert max(spans).total_seconds() < 30


async def test_one_in_uninterruptible_sleep_is_named_and_holds_up_nobody(
    service: Service, tmp_path: Path
) -> None:
    with hanging(tmp_path / "mounted", service.keeper.pid) as files:
        async with client_for(service) as client:
            job = await client.start("cat", str(tmp_path / "mounted" / "x"), grace_period=0.2)
            assert files.stdout
            assert await asyncio.to_thread(files.stdout.readline) == b"reading\n"
            await job.stop()
            async with aclosing(client.watch(job.id)) as statuses:
                named = await anext(status async for status in statuses if status.reason)
            assert not named.is_final
            assert re.fullmatch(
                r"SIGKILL was sent, and still there: pid \d+ \(cat, D\)", named.reason
            )
            others = await asyncio.gather(*(client.start("sh", "-c", "exit 3") for _ in range(10)))
            ended = await asyncio.gather(*(other.wait() for other in others))
            assert [status.exit_code for status in ended] == [3] * 10
            assert not (await job.status()).is_final
            files.kill()  # what was read can't come any more
            status = await job.wait()
    assert (status.state, status.signal, status.reason) == (JobState.STOPPED, "SIGTERM", "")


async def test_nobody_who_only_looks_alike_is_hit(service: Service) -> None:
    async with client_for(service) as client:
        job = await client.start("sleep", "98715")
        stranger = await asyncio.create_subprocess_exec(
            "sleep", "98715", env={"WORKER_JOB_ID": str(job.id)}
        )
        await job.stop()
        await job.wait()
        assert stranger.returncode is None
        stranger.kill()
        assert await stranger.wait() == -signal.SIGKILL
