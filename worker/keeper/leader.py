"""A job's first process: whether it came to execve, and how it ended."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from worker.keeper.child import Failure
from worker.keeper.loop import Callback, Loop, Owner
from worker.keeper.messages import SIGNALED
from worker.keeper.spawn import Child


@dataclass(frozen=True, slots=True)
class Exit:
    """`code` or `signal`, never both."""

    code: int | None
    signal: int | None
    at_us: int

    @property
    def value(self) -> int:
        """As the index records it."""
        return self.code if self.code is not None else SIGNALED | (self.signal or 0)


class Leader:
    """Owns the child's descriptors."""

    def __init__(self, child: Child, loop: Loop) -> None:
        self.pid = child.pid
        self.is_reported = False
        self._is_closed = False
        self._child = child
        self._loop = loop

    def watch(self, on_report: Callback, on_exit: Callback, owner: Owner) -> None:
        self._loop.watch(self._child.report, on_report, owner)
        self._loop.watch(self._child.pidfd, on_exit, owner)

    def report(self) -> Failure | None:
        """Once: why execve failed, or None if it succeeded (or the child was killed before)."""
        try:
            report = os.read(self._child.report, 64)
        except BlockingIOError:
            report = b""
        self.is_reported = True
        self._loop.forget(self._child.report)
        os.close(self._child.report)
        return Failure.unpacked(report) if report else None

    def exit(self) -> Exit | None:
        """None while it lives. It stays a zombie until `reap`."""
        # WNOWAIT keeps the zombie: while it holds the pid, no signal of ours can hit a stranger.
        how = os.WEXITED | os.WNOWAIT | os.WNOHANG
        seen = os.waitid(os.P_PIDFD, self._child.pidfd, how)
        if seen is None:
            return None
        self._loop.forget(self._child.pidfd)
        if seen.si_code == os.CLD_EXITED:
            return Exit(seen.si_status, None, now_us())
        return Exit(None, seen.si_status, now_us())

    def reap(self) -> None:
        os.waitid(os.P_PIDFD, self._child.pidfd, os.WEXITED)
        self.close()

    def close(self) -> None:
        """Closing twice is no error."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.forget(self._child.pidfd)
            os.close(self._child.pidfd)
            if not self.is_reported:
                self.report()


def now_us() -> int:
    return time.time_ns() // 1000
