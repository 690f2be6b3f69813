"""The state directory: who may use it, and that one server or Registry does.

The lock is flock(2) on STATE/lock: the kernel gives it back however its holders end, so no
leftover file can keep anybody out. The pid in the file is for the message alone.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from worker.errors import BadState, InternalError, StateInUse

PRIVATE: Final = 0o700
RETRY_S: Final = 0.05  # flock(2) knows no time limit


def lock(path: Path, wait_s: float = 0) -> int:
    """Make `path` ours: the descriptor that holds the lock, for `pass_fds` too.

    Raises BadState for a folder that can't be used, StateInUse if it isn't free in `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while isinstance(tried := attempt(path, deadline), StateInUse):
        time.sleep(RETRY_S)
    return tried


def attempt(path: Path, deadline: float) -> int | StateInUse:
    """One try of `lock`; StateInUse is raised once `deadline` is over, and returned before that."""
    _prepare(path)
    try:
        return _locked(path)
    except StateInUse as error:
        if time.monotonic() >= deadline:
            raise
        return error


def check_usable(path: Path) -> bool:
    """Whether it is there already. Leaves nothing behind; raises BadState for one that won't do."""
    try:
        if path.exists():
            _check_private(path, path.stat())
            return True
        above = next(each for each in path.parents if each.exists())
    except OSError as error:
        raise BadState(f"{path} can't be the state directory: {error.strerror}") from error
    try:  # root has every right, also in /proc
        Path(mkdtemp(prefix=".workerserver-", dir=above)).rmdir()
    except OSError as error:
        what = f"{above} is no folder that can be written"
        raise BadState(f"{path} can't be the state directory: {what}") from error
    return False


def check_there(path: Path) -> None:
    """Raises InternalError where somebody has taken it away since it was opened."""
    if not (path / "jobs").exists():
        raise InternalError(
            f"the state directory {path} was moved or removed: put it back, or start anew, with an"
            " empty one"
        )


def owner_of(path: Path) -> int | None:
    """The pid that the last owner of `path` wrote; None if it didn't, or is no longer alive."""
    with suppress(OSError, ValueError):
        pid = int((path / "lock").read_text("ascii"))
        # The state follows the name, which may contain anything.
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return None if state in "ZX" else pid
    return None


def holder_of(path: Path) -> int | None:
    """The pid of whoever has the lock now; None if nobody has, or if that isn't known."""
    with suppress(OSError):
        descriptor = os.open(path / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return owner_of(path)
        finally:
            os.close(descriptor)
    return None


def _prepare(path: Path) -> None:
    try:
        if not path.exists():
            path.mkdir(PRIVATE, parents=True)
        _check_private(path, path.stat())
        (path / "jobs").mkdir(PRIVATE, exist_ok=True)
    except OSError as error:
        raise BadState(f"{path} can't be the state directory: {error.strerror}") from error


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise BadState(f"{path} can't be the state directory: Not a directory")
    if found.st_uid != os.geteuid():
        raise BadState(f"{path} belongs to uid {found.st_uid}, not to {os.geteuid()}: chown it")
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise BadState(f"{path} can be written by others: choose a folder of its own for the jobs")


def _locked(path: Path) -> int:
    file = path / "lock"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BadState(f"{file}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateInUse(f"{path} is in use {_by(path)}") from error
    except OSError as error:
        os.close(descriptor)
        raise BadState(f"{file}: {error.strerror}") from error
    return descriptor


def _by(path: Path) -> str:
    owner = owner_of(path)
    if owner is None:
        return "by the keeper of a program that ended: it still ends that program's jobs"
    return f"by process {owner}"
