"""Without cgroups: what is nobody's, and what a keeper that was killed has left."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper.driver import PATIENCE_S, Keeper, finish, start
from tests.keeper.test_ways import without_cgroups

BEARS_THE_MARK = "setsid sh -c 'echo $$; exec sleep 600' & echo up; wait"


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """To be killed."""
    started = start(tmp_path, tmp_path / "log", without_cgroups())
    yield started
    started.driver.end.close()
    started.process.kill()
    started.process.wait()


def wait_gone(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone, _, _ = select.select([pidfd], [], [], PATIENCE_S)
    os.close(pidfd)
    assert gone


def test_the_next_keeper_ends_orphans_of_an_unfinished_job_and_nobody_else(
    keeper: Keeper, tmp_path: Path
) -> None:
    driver = keeper.driver
    request = driver.request("bash", "-c", BEARS_THE_MARK)
    mark = {"WORKER_JOB_ID": request.job}
    job = driver.spawn(
        "bash", "-c", BEARS_THE_MARK, job=request.job, environment=request.environment | mark
    )
    driver.wait_output(job, b"up")
    while len(driver.file(job, "output").split()) < 2:
        driver.wait_output(job, b"\n")
    orphan = next(int(word) for word in driver.file(job, "output").split() if word.isdigit())
    stranger = subprocess.Popen(["sleep", "600"], env=mark)
    keeper.process.kill()
    keeper.process.wait()
    os.kill(orphan, 0)  # it has a session of its own, and lives on
    after = start(tmp_path, tmp_path / "log", without_cgroups())
    finish(after)
    wait_gone(orphan)
    assert stranger.poll() is None, "who only wears the mark, and has its parent"
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()
    assert "1 processes that an earlier keeper left were ended" in after.log.read_text()
