"""A clock that jumps ends, delays and deletes nothing: durations are monotonic."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from certs.authority import new_authority
from certs.folder import write_pair
from certs.issue import client_certificate, server_certificate
from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import Service, serving
from worker.limits import Limits
from worker.rpc.role import Role
from worker.state import Cause, JobState

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
DAYS = 1000
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime isn't installed")


@dataclass(frozen=True)
class Clock:
    file: Path

    def jump(self, by: timedelta) -> None:
        self.file.write_text(f"{by.total_seconds():+.0f}\n")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Valid before and behind all jumps."""
    folder = tmp_path_factory.mktemp("lasting")
    now = datetime.now(UTC) - timedelta(days=2)
    authority = new_authority(now)
    local = [ip_address("127.0.0.1")]
    server = server_certificate(authority, ["localhost"], local, now=now, days=DAYS)
    client = client_certificate(authority, "full", Role.FULL, now=now, days=DAYS)
    for name, pair in (("ca", authority), ("server", server), ("full", client)):
        write_pair(folder, name, pair)
    return folder


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


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(timedelta(hours=-1), id="an hour back"),
        pytest.param(timedelta(hours=1), id="an hour on"),
        pytest.param(timedelta(days=400), id="400 days on"),
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
