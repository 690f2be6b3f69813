"""The state directory belongs to one owner, and to nobody who was killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.errors import BadState, StateInUse
from worker.jobs.directory import lock, owner_of

HOLD = """
import sys
from pathlib import Path
from worker.jobs.directory import lock
lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_new_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(lock(tmp_path / "state"))
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert modes == {"state": "0o700", "jobs": "0o700", "lock": "0o600"}


def test_a_second_owner_is_refused_and_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with holder(tmp_path) as process, pytest.raises(StateInUse) as refused:
        lock(tmp_path)
    assert str(refused.value) == f"{tmp_path} is in use by process {process.pid}"


def test_a_link_to_the_directory_is_the_directory(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "state")
    with holder(tmp_path / "state"), pytest.raises(StateInUse):
        lock(tmp_path / "link")


def test_what_a_killed_owner_leaves_keeps_nobody_out(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        assert owner_of(tmp_path) is None
        os.close(lock(tmp_path))


def test_who_waits_gets_it_when_the_owner_goes(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        os.close(lock(tmp_path, wait_s=30))


def test_waiting_has_an_end(tmp_path: Path) -> None:
    began = time.monotonic()
    with holder(tmp_path), pytest.raises(StateInUse):
        lock(tmp_path, wait_s=0.1)
    assert time.monotonic() - began < 30


def test_an_owner_that_is_a_zombie_is_no_owner(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owner_of(tmp_path) is None


def file_in_its_place(state: Path) -> None:
    state.write_text("")


def below_a_file(state: Path) -> None:
    state.parent.rmdir()
    state.parent.write_text("")


def writable_by_others(state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)


def of_another_user(state: Path) -> None:
    state.mkdir()
    os.chown(state, 12345, 12345)


def lock_that_is_a_link(state: Path) -> None:
    state.mkdir(0o700)
    (state / "lock").symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        pytest.param(file_in_its_place, "Not a directory", id="a file"),
        pytest.param(below_a_file, "Not a directory", id="below a file"),
        pytest.param(writable_by_others, "choose a folder of its own", id="writable by others"),
        pytest.param(of_another_user, "chown", id="of another user"),
        pytest.param(lock_that_is_a_link, "lock", id="its lock is a link"),
    ],
)
def test_a_directory_that_cannot_be_used_is_named(
    tmp_path: Path, spoil: object, remedy: str
) -> None:
    if spoil is of_another_user and os.geteuid() != 0:
        pytest.skip("only root can make a folder of another user")
    state = tmp_path / "above" / "state"
    state.parent.mkdir()
    assert callable(spoil)
    spoil(state)
    with pytest.raises(BadState, match=remedy) as refused:
        lock(state)
    assert str(state) in str(refused.value)
