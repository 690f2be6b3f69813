"""A job's first process: whether it came to execve, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from resource import struct_rusage
from typing import Final

from worker.keeper.child import Failure
from worker.keeper.facts import Exit
from worker.keeper.loop import ONCE, Callback, Loop, Owner
from worker.keeper.spawn import Child

REPORT_SIZE: Final = 1024


class Leader:
    """Owns the child's descriptors."""

    def __init__(self, child: Child, loop: Loop) -> None:
        self.pid, self._pidfd, self._report = child.pid, child.pidfd, child.report
        self._is_closed = False
        self._loop = loop

    def watch(self, on_report: Callback, on_exit: Callback | None, owner: Owner) -> None:
        """`on_exit` is None where the exit is known already."""
        if self._report is not None:
            self._loop.watch(self._report, on_report, owner)
        if on_exit:
            self._loop.watch(self._pidfd, on_exit, owner, ONCE)

    @property
    def is_reported(self) -> bool:
        return self._report is None

    @property
    def pending_report(self) -> int | None:
        """The pipe that tells of execve, until it has told."""
        return self._report

    def report(self) -> Failure | None:
        """Once: why execve failed, or None if it succeeded (or the child was killed before)."""
        pipe, self._report = self._report, None
        if pipe is None:
            return None
        try:
            report = os.read(pipe, REPORT_SIZE)
        except BlockingIOError:
            report = b""
        self._loop.forget(pipe)
        os.close(pipe)
        return Failure.unpacked(report) if report else None

    def send(self, number: int) -> None:
        """Wherever it has gone: its pidfd finds it. An exited one is left alone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self._pidfd, number)

    def unwatch(self) -> None:
        self._loop.forget(self._pidfd)
        if self._report is not None:
            self._loop.forget(self._report)

    def exit(self) -> Exit | None:
        """None while it lives. It stays a zombie until `reap`."""
        # WNOWAIT keeps the zombie: while it holds the pid, no signal of ours can hit a stranger.
        how = os.WEXITED | os.WNOWAIT | os.WNOHANG
        seen = os.waitid(os.P_PIDFD, self._pidfd, how)
        if seen is None:
            return None
        self._loop.forget(self._pidfd)
        if seen.si_code == os.CLD_EXITED:
            return Exit(seen.si_status, None, now_us())
        return Exit(None, seen.si_status, now_us())

    def reap(self) -> struct_rusage:
        """What it has used, and what it has waited for."""
        _, _, used = os.wait4(self.pid, 0)  # its zombie holds the pid
        self.close()
        return used

    def close(self) -> None:
        """Closing twice is no error."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.forget(self._pidfd)
            os.close(self._pidfd)
            self.report()


def now_us() -> int:
    return time.time_ns() // 1000
