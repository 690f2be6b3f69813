"""The server is our child: started, and started again with a pause, whatever becomes of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import Final

from worker.keeper.keeper import Keeper
from worker.keeper.link import Link
from worker.keeper.log import say
from worker.keeper.messages import Leave, Message, Ready

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 10.0  # a server that lived so long is followed by the next without a pause
GOING_S: Final = 10.0  # a server that was dismissed and doesn't go is killed then


class Server:
    """One serving process: its socket, its state, its end."""

    def __init__(self, service: Service) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid = service.spawn(theirs.fileno())
        self._pidfd = os.pidfd_open(self.pid)
        self._service = service
        self._is_gone = False
        self.is_ready = False
        self.began = time.monotonic()
        self.link = Link(service.keeper.loop, ours, self)
        service.keeper.loop.watch(self._pidfd, self._on_exit, self)

    def on_message(self, message: Message) -> None:
        self.is_ready = self.is_ready or isinstance(message, Ready)
        self._service.keeper.receive(message)

    def on_lost(self) -> None:
        """It may be alive and deaf: without its socket it is of no use."""
        if not self._service.is_dismissed:
            self.kill()

    def give_up(self) -> None:
        self.kill()

    def kill(self) -> None:
        if not self._is_gone:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_exit(self) -> None:
        seen = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        if seen:
            self._is_gone = True
            self._service.keeper.loop.forget(self._pidfd)
            os.close(self._pidfd)
            self.link.close()
            exited = seen.si_code == os.CLD_EXITED
            self._service.on_exit(self, seen.si_status if exited else 128 + seen.si_status)


class Service:
    """Keeps a server serving. `files` are inherited by it under their own numbers."""

    def __init__(self, keeper: Keeper, argv: list[str], files: list[int], grace_s: float) -> None:
        self.keeper = keeper
        self.status = 0  # of this program
        self.is_dismissed = False
        self._argv, self._files, self._grace_s = argv, files, grace_s
        self._server: Server | None = None
        self._was_ready = False
        self._is_leaving = False
        self._pause_s = FIRST_PAUSE_S

    def start(self) -> None:
        self._server = Server(self)
        self.keeper.child = self._server.pid
        self.keeper.new_user(self)

    def spawn(self, end: int) -> int:
        """The pid of a new server that holds `end` of its socket."""
        # dup2 to itself clears close-on-exec in the child alone: posix_spawn(3).
        inherited = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in (*self._files, end)]
        argv = [*self._argv, "--keeper", str(end)]
        return os.posix_spawn(
            argv[0], argv, os.environ, file_actions=inherited, setsigmask=(), setsid=True
        )

    def send(self, message: Message) -> None:
        if self._server:
            self._server.link.send(message)

    def leave(self) -> None:
        """On SIGTERM; asked a second time it hurries."""
        grace_s = 0.0 if self._is_leaving else self._grace_s
        self._is_leaving = True
        self.send(Leave())
        self.keeper.leave(grace_s)

    def dismiss(self) -> None:
        self.is_dismissed = True
        if self._server:
            self._server.link.finish(lambda: None)
            self.keeper.loop.call_in(GOING_S, self._server.kill, self)
        else:
            self.keeper.loop.end()

    def give_up(self) -> None:
        self._start_later()

    def on_exit(self, server: Server, status: int) -> None:
        self._server = self.keeper.child = None
        self._was_ready = self._was_ready or server.is_ready
        if self._is_leaving:
            if self.is_dismissed:
                self.keeper.loop.end()
        elif not self._was_ready:
            self.status = status
            self.keeper.loop.end()
        else:
            if time.monotonic() - server.began >= STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            say(f"the server ended with status {status}: next start in {self._pause_s:.1f} s")
            self._start_later()

    def _start_later(self) -> None:
        self.keeper.loop.call_in(self._pause_s, self._start_again, self)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _start_again(self) -> None:
        if not self._is_leaving:
            self.start()
