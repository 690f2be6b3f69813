"""What the child does between clone3 and execve, and what it tells when that fails.

It is still this program: so nothing but system calls, no import, no allocation that could
call a finalizer, and out by os._exit whatever happens. All text is bytes by now.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import resource
import signal
import stat
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Never

PR_SET_PDEATHSIG: Final = 1
UMASK: Final = 0o022
FAILED: Final = 127
SYS_CLOSE_RANGE: Final = 436  # the same number on every architecture

_libc: Final = ctypes.PyDLL(None, use_errno=True)
# Python ignores SIGPIPE and SIGXFSZ, and whoever started us may ignore others (nohup).
_IGNORED: Final = [
    number
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    if signal.getsignal(number) is signal.SIG_IGN
]


class Stage(IntEnum):
    """How far the child came."""

    SETUP = 1
    DIRECTORY = 2
    EXECUTE = 3
    INTERPRETER = 4  # the file is there, what it needs to run isn't
    LIMITS = 5
    USER = 6


@dataclass(frozen=True, slots=True)
class Failure:
    """Of a start: `tried` is the number of the candidate that `error` (errno) is about.

    `interpreter` is what the file asks for by its first line, surrogate-escaped.
    """

    stage: Stage
    tried: int
    error: int
    interpreter: str = ""

    LAYOUT = struct.Struct("<BIi")

    def packed(self) -> bytes:
        interpreter = self.interpreter.encode("utf-8", "surrogateescape")
        return self.LAYOUT.pack(self.stage, self.tried, self.error) + interpreter

    @classmethod
    def unpacked(cls, report: bytes) -> Failure:
        stage, tried, error = cls.LAYOUT.unpack_from(report)
        interpreter = report[cls.LAYOUT.size :].decode("utf-8", "surrogateescape")
        return cls(Stage(stage), tried, error, interpreter)


@dataclass(frozen=True, slots=True)
class Identity:
    uid: int
    gid: int
    groups: list[int]


@dataclass(frozen=True, slots=True)
class Program:
    """What the child becomes: the first of `candidates` that can be executed.

    `limits` by RLIMIT number, `nice` and `identity` None: as the keeper's.
    """

    candidates: list[bytes]
    arguments: list[bytes]  # the name that it is called by comes first
    environment: dict[bytes, bytes]
    directory: bytes
    limits: dict[int, int] = field(default_factory=dict)
    nice: int | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the keeper gives to every child."""

    keeper: int  # its pid
    nofile: tuple[int, int]  # what it was given itself, before it raised its own
    oom_score: str | None  # None: as the keeper's
    handled: tuple[int, ...]  # signals to be reset by hand, as fork keeps our handlers


def become(
    program: Program,
    around: Surroundings,
    streams: tuple[int, int, int],
    entering: bytes | None,
    report: int,
) -> Never:
    """`entering`: the cgroup.procs of the job, unless the child was born in it."""
    stage = Stage.SETUP
    failure = Failure(stage, 0, errno.EINVAL)
    try:
        gc.disable()
        _prepare(around, streams, entering, report)
        stage = Stage.LIMITS
        _limit(program, around)
        stage = Stage.USER
        if program.identity:
            _change_user(program.identity)
        _die_with(around.keeper)
        stage = Stage.DIRECTORY
        os.chdir(program.directory)
        stage = Stage.EXECUTE
        failure = _execute(program)
    except OSError as error:
        failure = Failure(stage, 0, error.errno or 0)
    finally:
        # Whatever it was must not get out of here: this is a copy of the keeper.
        try:
            os.write(report, failure.packed())
        finally:
            os._exit(FAILED)


def _prepare(
    around: Surroundings, streams: tuple[int, int, int], entering: bytes | None, report: int
) -> None:
    if entering:
        _write(entering, b"0")
    os.setsid()
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    # What waits long before execve, for a dead directory, must not hold the pipes of other jobs.
    # A kernel before 5.9 refuses; then they stay open till execve.
    _libc.syscall(SYS_CLOSE_RANGE, 3, report - 1, 0)
    _libc.syscall(SYS_CLOSE_RANGE, report + 1, ctypes.c_uint(-1), 0)
    for number in (*_IGNORED, *around.handled):
        signal.signal(number, signal.SIG_DFL)
    if around.oom_score is not None:
        _write(b"/proc/self/oom_score_adj", around.oom_score.encode())
    os.umask(UMASK)


def _limit(program: Program, around: Surroundings) -> None:
    """Before the user is changed, as only root may give a better place than its own."""
    resource.setrlimit(resource.RLIMIT_NOFILE, around.nofile)
    try:
        for number, most in program.limits.items():
            resource.setrlimit(number, (most, most))
    except ValueError as error:  # Python's word for EPERM and EINVAL
        raise PermissionError(errno.EPERM, str(error)) from None
    if program.nice is not None:
        os.setpriority(os.PRIO_PROCESS, 0, program.nice)


def _change_user(identity: Identity) -> None:
    os.setgroups(identity.groups)
    os.setgid(identity.gid)
    os.setuid(identity.uid)


def _die_with(keeper: int) -> None:
    """Last, as a change of user takes the parent-death signal back: prctl(2)."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:  # it died before we asked to die with it
        os._exit(FAILED)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _write(path: bytes, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, text)
    os.close(fd)


def _execute(program: Program) -> Failure:
    """Try one candidate after the other, as execvp(3) does, and tell which failure to name.

    What is found out about a file is found out here: a path that hangs holds up this child alone.
    """
    refused: Failure | None = None
    error = 0
    for tried, path in enumerate(program.candidates):
        try:
            os.execve(path, program.arguments, program.environment)  # noqa: S606 - no shell: right
        except FileNotFoundError as failure:
            error = failure.errno or 0
            if os.path.exists(path):  # noqa: PTH110 - bytes
                refused = refused or Failure(Stage.INTERPRETER, tried, error, _interpreter_of(path))
        except NotADirectoryError as failure:
            error = failure.errno or 0
        except PermissionError as failure:
            is_folder = os.path.isdir(path)  # noqa: PTH112 - bytes
            number = errno.EISDIR if is_folder else failure.errno or 0
            refused = refused or Failure(Stage.EXECUTE, tried, number)
        except OSError as failure:
            return Failure(Stage.EXECUTE, tried, failure.errno or 0)
    return refused or Failure(Stage.EXECUTE, 0, error)


def _interpreter_of(script: bytes) -> str:
    """The program that its first line names, or nothing."""
    try:
        fd = os.open(script, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return ""
    words = os.read(fd, 256).split(b"\n")[0][2:].split()
    return words[0].decode("utf-8", "surrogateescape") if words else ""
