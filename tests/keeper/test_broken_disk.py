"""A file system that has become read-only: jobs go on, and what is dropped is counted."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper.driver import Keeper, finish, start
from worker.keeper.frames import encode
from worker.keeper.messages import Accepted, Ended, Input

SIZE = 16 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One that may break."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def keeper(disk: Path, tmp_path: Path) -> Iterator[Keeper]:
    state = disk / "state"
    state.mkdir(mode=0o700)
    started = start(state, tmp_path / "log")
    yield started
    finish(started)


def test_no_job_ends_for_it(keeper: Keeper, disk: Path) -> None:
    driver = keeper.driver
    script = "echo up; while read line; do echo $line; done; exit 3"
    job = driver.spawn("sh", "-c", script, has_input=True)
    driver.wait_output(job, b"up\n")
    subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=True)
    driver.end.sendall(encode(Input(driver.asks + 1, job, 0, end=True), b"one\ntwo\n"))
    assert driver.wait(Accepted).total == 8
    driver.wait(Ended, job=job)
    assert driver.file(job, "output") == b"up\n"
    (line,) = keeper.log.read_text().splitlines()[1:]
    assert line.startswith(f"keeper: job {job}: its end can't be recorded: ")
