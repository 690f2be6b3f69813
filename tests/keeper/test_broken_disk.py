"""A file system that has become read-only, or doesn't answer: only what needs it suffers."""

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.e2e.hanging import hanging
from tests.keeper.driver import Keeper, finish, start
from worker.keeper.frames import encode
from worker.keeper.index import Index
from worker.keeper.messages import Accepted, Ended, Input
from worker.keeper.records import RECORD, Kind

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
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def keeper(disk: Path, tmp_path: Path) -> Iterator[Keeper]:
    state = disk / "state"
    state.mkdir(mode=0o700)
    started = start(state, tmp_path / "log")
    yield started
    finish(started)


def test_no_job_ends_for_want_of_a_place_for_its_output(keeper: Keeper, disk: Path) -> None:
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
    assert f" keeper: job {job}: its end can't be recorded: " in line


def test_a_start_that_hangs_keeps_no_other_jobs_stdin_open(keeper: Keeper, tmp_path: Path) -> None:
    driver = keeper.driver
    reader = driver.spawn("cat", has_input=True)
    with hanging(tmp_path / "mounted", keeper.process.pid) as files:
        starting = driver.request(str(tmp_path / "mounted" / "x"))
        driver.send(starting)
        assert files.stdout
        assert files.stdout.readline() == b"reading\n"
        driver.end.sendall(encode(Input(driver.asks + 1, reader, 0, end=True), b"hello"))
        assert driver.ended(reader)["code"] == 0
        driver.stop(starting.job, 0)
    assert driver.ended(starting.job)["signal"] == signal.SIGKILL


def test_a_gap_that_can_not_be_written_hides_nothing_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zero would end the index for its readers."""
    fd = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)
    index, write = Index(fd), os.pwrite
    index.run(Kind.RUN_STDOUT, 0, 1)
    monkeypatch.setattr(os, "pwrite", Mock(side_effect=OSError(errno.EIO, "")))
    index.gap(Kind.RUN_STDOUT, 5, 3)
    monkeypatch.setattr(os, "pwrite", write)
    index.run(Kind.RUN_STDERR, 5, 2)
    index.gap(Kind.RUN_STDERR, 9, 4)
    index.exit(9, 7)
    words = [word for word, _ in RECORD.iter_unpack(os.pread(fd, index.size, 0))]
    kinds = [Kind(word >> 56) for word in words]
    assert kinds == [Kind.HEADER, Kind.RUN_STDOUT, Kind.RUN_STDERR, Kind.GAP_STDERR, Kind.EXIT]
    os.close(fd)
