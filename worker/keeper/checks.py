"""Commands that must all succeed before anything is replaced; one after the other, not blocking."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.keeper.log import say
from worker.keeper.loop import Loop, Timer

PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Command:
    """`files` are inherited under their own numbers."""

    argv: list[str]
    files: Sequence[int]

    def start(self) -> int:
        """The pid. Its environment is ours; it gets a session of its own."""
        # dup2 to itself clears close-on-exec in the child alone: posix_spawn(3).
        inherited = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in self.files]
        return os.posix_spawn(
            self.argv[0],
            self.argv,
            os.environ,
            file_actions=inherited,
            setsigmask=(),
            setsid=True,
        )


class Checks:
    """Calls `then` once: with None if all succeeded, else with the command that did not."""

    def __init__(
        self,
        loop: Loop,
        commands: Sequence[Command],
        children: set[int],
        then: Callable[[Command | None], None],
    ) -> None:
        self._loop = loop
        self._rest = list(commands)
        self._children = children  # that nobody else may reap
        self._then = then
        self._pid = self._pidfd = -1
        self._patience: Timer | None = None
        self._next()

    def give_up(self) -> None:
        if self._rest:
            self._then(self._rest[0])

    def cancel(self) -> None:
        """Nobody is called any more, and the command that runs is ended."""
        self._then = lambda _: None
        self._rest = self._rest[:1]
        if self._pidfd >= 0:
            self._kill()

    def _next(self) -> None:
        if not self._rest:
            self._then(None)
            return
        self._pid = self._rest[0].start()
        self._children.add(self._pid)
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.watch(self._pidfd, self._on_exit, self)
        self._patience = self._loop.call_in(PATIENCE_S, self._kill, self)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_exit(self) -> None:
        seen = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        if seen is None:
            return
        self._children.discard(self._pid)
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._patience:
            self._patience.cancel()
        if seen.si_code != os.CLD_EXITED:
            say(f"a check was ended by signal {seen.si_status}")
        if (seen.si_code, seen.si_status) != (os.CLD_EXITED, 0):
            self._then(self._rest[0])
            return
        del self._rest[0]
        self._next()
