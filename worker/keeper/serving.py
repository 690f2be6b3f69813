"""The server is our child: started, and started again with a pause, whatever becomes of it.

On SIGHUP it is replaced, and so is our own code: first everything is checked, then the server
goes, then we re-execute ourselves, then a new one starts. No job notices, no connection is refused.
"""

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
from worker.keeper.loop import ONCE, guarded
from worker.keeper.messages import Leave, Message, Ready
from worker.keeper.replacement import Replacement, Start

FIRST_PAUSE_S: Final = 0.1  # doubled by each server that isn't ready before it ends
LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 1.0  # a server that was ready and lived so long is followed at once
DRAINED_S: Final = 2.0  # a server that is replaced says sooner that all is answered
GOING_S: Final = 10.0  # a server that was dismissed and doesn't go is killed then


class Server:
    """One serving process: its socket, its state, its end."""

    def __init__(self, service: Service) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid = service.spawn(theirs.fileno())
        self._pidfd = os.pidfd_open(self.pid)
        self._service = service
        self._is_parting = self._is_gone = False
        self.is_ready = False
        self.began = time.monotonic()
        self.link = Link(service.keeper.loop, ours, self)
        service.keeper.loop.watch(self._pidfd, self._on_exit, self, ONCE)

    def on_message(self, message: Message, raw: bytes) -> None:
        match message:
            case Leave():  # it has drained; what ends all jobs is SIGTERM, not a server
                self._service.on_left(self)
            case Ready():
                self.is_ready = True
                self._service.keeper.grace_s = message.grace_s
            case _:
                self._service.keeper.receive(message, raw)

    def on_lost(self) -> None:
        """It may be alive and deaf: without its socket it is of no use."""
        if not self._is_parting:
            self.kill()

    def give_up(self) -> None:
        self.kill()

    def part(self) -> None:
        """Nothing follows: it ends by itself, or soon by force. Parting twice is no error."""
        if self._is_parting:
            return
        self._is_parting = True
        self.link.finish(lambda: None)
        self._service.keeper.loop.call_in(GOING_S, self.kill, self)

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
    """Keeps a server serving."""

    def __init__(self, keeper: Keeper, start: Start) -> None:
        self.keeper = keeper
        self.status = 0  # of this program
        self._start = start
        self._server: Server | None = None
        self._replacement: Replacement | None = None
        self._was_ready = "--resume" in start.words
        self._is_leaving = self.is_dismissed = False
        self._pause_s = FIRST_PAUSE_S

    def start(self) -> None:
        self._server = Server(self)
        self.keeper.children.add(self._server.pid)
        self.keeper.new_user(self)

    def spawn(self, end: int) -> int:
        """The pid of a new server that holds `end` of its socket."""
        return self._start.server_command("serve", self.keeper, end).start()

    def send(self, message: Message) -> None:
        if self._server:
            self._server.link.send(message)

    def leave(self) -> None:
        """Told to end by a signal; told a second time it hurries."""
        grace_s = 0.0 if self._is_leaving else self.keeper.grace_s
        self._is_leaving = True
        say(f"told to end; jobs left: {len(self.keeper.jobs)}; grace period: {grace_s:g} s")
        if self._replacement:
            self._replacement.cancel()
        self.send(Leave())
        self.keeper.leave(grace_s)

    def dismiss(self) -> None:
        self.is_dismissed = True
        if self._server:
            self._server.part()
        else:
            self.keeper.loop.end()

    def give_up(self) -> None:
        self._start_later()

    def on_exit(self, server: Server, status: int) -> None:
        self._server = None
        self.keeper.children.discard(server.pid)
        self._was_ready = self._was_ready or server.is_ready
        if self._is_leaving:
            if self.is_dismissed:
                self.keeper.loop.end()
        elif self._replacement and self._replacement.is_checked:
            guarded(self._replace, self)
        elif not self._was_ready:
            self.status = status
            self.keeper.loop.end()
        else:
            if server.is_ready:
                is_steady = time.monotonic() - server.began >= STEADY_S
                self._pause_s = 0.0 if is_steady else FIRST_PAUSE_S
            say(f"the server ended with status {status}: next start in {self._pause_s:.1f} s")
            self._start_later()

    def reload(self) -> None:
        """On SIGHUP: nothing is touched unless what comes next is sure to start."""
        if self._replacement or self._is_leaving:
            say("SIGHUP: another one, or the end, is under way: nothing was done")
            return
        replacement = Replacement(self.keeper, self._start)
        replacement.check(self._on_checked)
        self._replacement = replacement

    def _on_checked(self, *, is_good: bool) -> None:
        if not is_good or self._is_leaving:
            self._replacement = None
        elif self._server:
            self.send(Leave())
            self.keeper.loop.call_in(DRAINED_S, self._server.part, self)
        else:
            self._replace()

    def on_left(self, server: Server) -> None:
        """All that was asked of it is answered: it can be replaced."""
        if self._replacement and self._replacement.is_checked:
            server.part()

    def _replace(self) -> None:
        replacement, self._replacement = self._replacement, None
        if replacement:
            replacement.execute()
            self._start_again()  # it was refused, and said so: the old code goes on

    def _start_later(self) -> None:
        self.keeper.loop.call_in(self._pause_s, self._start_again, self)
        self._pause_s = min(2 * self._pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def _start_again(self) -> None:
        if not self._is_leaving and not self._server:
            self.start()
