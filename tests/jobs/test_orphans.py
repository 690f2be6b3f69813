"""What a keeper left is ended by who is left, but only once that keeper is dead."""

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.orphaned import in_cgroup
from worker.jobs.orphans import end_orphans
from worker.jobs.pidfd import end_of
from worker.keeper.cgroup import Cgroup, folder_for


async def test_what_is_ended_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with in_cgroup(tmp_path) as process:
        await asyncio.to_thread(end_orphans, tmp_path)
        assert process.wait() != 0
    assert "1 processes that the keeper left were ended" in caplog.text


def test_where_nothing_is_left_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_for(tmp_path)
    if folder is None:
        pytest.skip("without cgroup v2 there is nothing to look for")
    Cgroup(folder / "jobs")
    with caplog.at_level(logging.INFO):
        end_orphans(tmp_path)
    assert not folder.exists()
    assert not caplog.records


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "987"]) as process:
        yield process
        process.kill()


async def test_the_end_of_a_process_is_seen_at_whatever_time_one_looks(
    process: "subprocess.Popen[bytes]",
) -> None:
    async with end_of(process.pid) as wait:
        assert not await wait(0)
        process.kill()
        assert await wait(10)
        assert await wait(0)
    async with end_of(process.pid) as wait:  # a zombie
        assert await wait(10)
    process.wait()
    async with end_of(process.pid) as wait:
        assert await wait(0)
