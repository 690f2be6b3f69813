"""The library's user: the program that started us. When it is gone, all jobs are ended.

Its pidfd tells, too: a copy that it has forked may hold the other end of the socket.
"""

from __future__ import annotations

import os
import socket

from worker.keeper.keeper import Keeper
from worker.keeper.link import Link
from worker.keeper.loop import ONCE
from worker.keeper.messages import Leave, Message


class Program:
    def __init__(self, keeper: Keeper, end: socket.socket) -> None:
        self._keeper = keeper
        self._link: Link | None = Link(keeper.loop, end, self)
        keeper.new_user(self)
        keeper.loop.watch(os.pidfd_open(os.getppid()), self._link.close, self._link, ONCE)

    def send(self, message: Message) -> None:
        if self._link:
            self._link.send(message)

    def on_message(self, message: Message, raw: bytes) -> None:
        self._keeper.receive(message, raw)

    def on_lost(self) -> None:
        self._link = None
        self._keeper.leave(None)

    def leave(self) -> None:
        """On SIGTERM: the program is told that nothing is started any more."""
        self.send(Leave())
        self._keeper.leave(None)

    def dismiss(self) -> None:
        if self._link:
            self._link.finish(self._keeper.loop.end)
        else:
            self._keeper.loop.end()
