"""A job is a tree: whatever its processes do, a stop or the leader's end leaves none of them.

Each row runs through the real server, with cgroups and without.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import Service, serving
from tests.jobs.scripts import wait_for
from tests.keeper.test_ways import without_cgroups
from worker.state import Cause, JobState, JobStatus

# Seconds to sleep: the arguments of no other run of the tests.
MARK, STRAY, LAST_STRAY = (f"{seconds}.{os.getpid()}" for seconds in (98701, 98702, 98703))


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
async def test_nothing_is_left(either_way: Service, row: Row) -> None:
    async with client_for(either_way) as client:
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


async def test_a_double_fork_with_a_cleared_environment(either_way: Service) -> None:
    """Only a cgroup catches it at once; else it is a stray, and ended with the keeper."""
    has_cgroups = "in cgroups below" in either_way.log.read_text()
    async with client_for(either_way) as client:
        script = f"env -i setsid sh -c 'sleep {STRAY} & exit'; exit 6"
        job = await client.start("bash", "-c", script)
        assert (await job.wait()).exit_code == 6
    if has_cgroups:
        assert alive(STRAY) == []
    else:
        assert alive(STRAY)
        assert "stray process" in either_way.log.read_text()


def test_a_stray_ends_with_the_keeper(tmp_path: Path, certificates: Path) -> None:
    async def leave_one(service: Service) -> None:
        async with client_for(service) as client:
            script = f"env -i setsid sh -c 'sleep {LAST_STRAY} & exit'; exit 6"
            job = await client.start("bash", "-c", script)
            assert (await job.wait()).exit_code == 6

    with serving(tmp_path, certificates, before=without_cgroups()) as service:
        asyncio.run(leave_one(service))
        assert alive(LAST_STRAY)
    assert alive(LAST_STRAY) == []


async def test_nobody_who_only_looks_alike_is_hit(either_way: Service) -> None:
    async with client_for(either_way) as client:
        job = await client.start("sleep", "98715")
        stranger = await asyncio.create_subprocess_exec(
            "sleep", "98715", env={"WORKER_JOB_ID": str(job.id)}
        )
        await job.stop()
        await job.wait()
        assert stranger.returncode is None
        stranger.kill()
        assert await stranger.wait() == -signal.SIGKILL
