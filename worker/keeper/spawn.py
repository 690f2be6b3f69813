"""From a request to a child: clone3 into the job's cgroup, or fork where that is refused.

Born inside its cgroup, a process can't be missed, and nothing is moved: moving costs the
kernel an RCU grace period (8 to 16 ms). There is no wrapper program: it would lose the errno.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from typing import Final

from worker.keeper.cgroup import Cgroup
from worker.keeper.child import Failure, Identity, Program, Stage, Surroundings, become
from worker.keeper.messages import Spawn

SYS_CLONE3: Final = 435  # the same number on every architecture
CLONE_PIDFD: Final = 0x1000
CLONE_CLEAR_SIGHAND: Final = 0x1_0000_0000
CLONE_INTO_CGROUP: Final = 0x2_0000_0000

# PyDLL keeps the GIL over the call: the child must go on as the thread that it is a copy of.
_libc: Final = ctypes.PyDLL(None, use_errno=True)
MOST_CANDIDATES: Final = 1000  # of a PATH: the child tries each
_ALL_SIGNALS: Final = signal.valid_signals()

Streams = tuple[int, int, int]  # 0 to 2 of the child


class _CloneArguments(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack"),
            *("stack_size", "tls", "set_tid", "set_tid_size", "cgroup"),
        )
    )


@dataclass(frozen=True, slots=True)
class Child:
    """On its way: `report` is at its end once execve has succeeded, else holds a Failure.

    None: it was read by the keeper that has re-executed itself since.
    """

    pid: int
    pidfd: int
    report: int | None


class Spawner:
    """How children are made on this machine."""

    def __init__(self, around: Surroundings, *, has_clone3: bool) -> None:
        self.around = around
        self.has_clone3 = has_clone3
        self.null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def start(self, program: Program, streams: Streams, cgroup: Cgroup | None) -> Child:
        """Raises OSError where the kernel has no room for another process."""
        report, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # One that came before the child has its own dispositions would run our handlers in it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
        try:
            pid, pidfd = _clone(cgroup) if self.has_clone3 else _fork()
            if pid == 0:
                entering = None
                if cgroup and not self.has_clone3:
                    entering = os.fsencode(cgroup.path / "cgroup.procs")
                become(program, self.around, streams, entering, writing)
        except BaseException:
            os.close(report)
            raise
        finally:
            os.close(writing)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Child(pid, pidfd, report)

    def works(self, cgroup: Cgroup | None) -> bool:
        """Whether a child comes as far as execve. Waits for it: nothing else runs yet."""
        nothing = Program([b"/nonexistent"], [b"probe"], {}, b"/")
        try:
            child = self.start(nothing, (self.null, self.null, self.null), cgroup)
        except OSError:
            return False
        assert child.report is not None  # noqa: S101 - for mypy: it was just made
        os.waitpid(child.pid, 0)
        with os.fdopen(child.pidfd), os.fdopen(child.report, "rb") as pipe:
            report = pipe.read()
        return bool(report) and Failure.unpacked(report).stage is Stage.EXECUTE


def _clone(cgroup: Cgroup | None) -> tuple[int, int]:
    pidfd = ctypes.c_int(-1)
    flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND
    folder = 0
    if cgroup:
        flags |= CLONE_INTO_CGROUP
        folder = os.open(cgroup.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    arguments = _CloneArguments(
        flags=flags, pidfd=ctypes.addressof(pidfd), exit_signal=signal.SIGCHLD, cgroup=folder
    )
    pid = _libc.syscall(SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        return 0, -1
    error = ctypes.get_errno()
    if cgroup:
        os.close(folder)
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid, pidfd.value


def _fork() -> tuple[int, int]:
    pid = os.fork()
    if pid == 0:
        return 0, -1
    try:
        # Until we reap it the child is at least a zombie, so the pid is still its own.
        return pid, os.pidfd_open(pid)
    except OSError:  # no descriptor left: what is refused must not run
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def program_of(request: Spawn) -> Program:
    """Bytes from here on: the child encodes nothing, and the locale plays no part."""
    command = _bytes(request.command)
    candidates = [command]
    if b"/" not in command:
        folders = _bytes(request.path).split(b":")
        tried = dict.fromkeys((folder or b".") + b"/" + command for folder in folders)
        candidates = list(tried)[:MOST_CANDIDATES]
    return Program(
        candidates=candidates,
        arguments=[command, *map(_bytes, request.arguments)],
        environment={_bytes(name): _bytes(value) for name, value in request.environment.items()},
        directory=_bytes(request.directory),
        limits=_rlimits(request),
        nice=request.nice,
        identity=_identity(request),
    )


def _rlimits(request: Spawn) -> dict[int, int]:
    asked = {resource.RLIMIT_NOFILE: request.open_files, resource.RLIMIT_CORE: request.core}
    return {number: most for number, most in asked.items() if most is not None}


def _identity(request: Spawn) -> Identity | None:
    if request.uid is None or request.gid is None:
        return None
    return Identity(request.uid, request.gid, request.groups)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
