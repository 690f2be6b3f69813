"""A clock that jumps ends, delays and deletes nothing: durations are monotonic."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import Service, serving
from worker.limits import Limits
from worker.state import Cause, JobState

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime isn't installed")


@dataclass(frozen=True)
class Clock:
    file: Path

    def jump(self, by: timedelta) -> None:
        self.file.write_text(f"{by.total_seconds():+.0f}\n")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    clock = Clock(tmp_path / "clock")
    clock.jump(timedelta(0))
    return clock


@pytest.fixture
def service(tmp_path: Path, certificates: Path, clock: Clock) -> Iterator[Service]:
    before = [
        "env",
        f"LD_PRELOAD={LIBRARY}",
        f"FAKETIME_TIMESTAMP_FILE={clock.file}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]
    with serving(tmp_path, certificates, before=before) as started:
        yield started


# Within the year that the certificates are for: what expires by a jump is refused, as it must be.
@pytest.mark.parametrize(
    "by",
    [
        pytest.param(timedelta(hours=-1), id="an hour back"),
        pytest.param(timedelta(hours=1), id="an hour on"),
        pytest.param(timedelta(days=300), id="300 days on"),
    ],
)
async def test_a_jump_changes_no_duration(service: Service, clock: Clock, by: timedelta) -> None:
    async with client_for(service) as client:
        kept = await client.start("echo", "kept")
        await kept.wait()
        runs = await client.start("sleep", "600")
        limited = await client.start("sleep", "600", limits=Limits(time=1))
        stubborn = await client.start(
            "sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done", grace_period=1
        )
        async for _ in stubborn.output():
            break
        loop = asyncio.get_running_loop()
        began = loop.time()
        await stubborn.stop()
        waiting = asyncio.create_task(runs.wait(timeout=1.5))
        clock.jump(by)
        killed, ended = await stubborn.wait(), await limited.wait()
        assert (await waiting).state is JobState.RUNNING
        assert 0.9 < loop.time() - began < 20
        assert (killed.signal, ended.cause) == ("SIGKILL", Cause.TIME_LIMIT)
        assert killed.started_at
        assert killed.ended_at
        assert killed.ended_at - killed.started_at >= max(by, timedelta(0))  # it did jump
        assert await text_of(kept) == b"kept\n"
        for status in (killed, ended, await kept.status()):
            times = status.started_at, status.leader_exited_at, status.ended_at
            assert None not in times
            assert list(times) == sorted(times)  # type: ignore[type-var]  # none is None
        assert (await runs.status()).state is JobState.RUNNING
        await runs.stop()
        assert (await runs.wait()).signal == "SIGTERM"
