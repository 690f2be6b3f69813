"""The library's user: the program that started us. When it is gone, all jobs are ended.

Its pidfd tells, too: a copy that it has forked may hold the other end of the socket.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

from worker.keeper.keeper import Keeper
from worker.keeper.link import Link
from worker.keeper.loop import ONCE
from worker.keeper.messages import Leave, Message

CREDENTIALS: Final = struct.Struct("3i")  # of unix(7): pid, uid, gid


class Program:
    def __init__(self, keeper: Keeper, end: socket.socket) -> None:
        self._keeper = keeper
        self._link: Link | None = Link(keeper.loop, end, self)
        keeper.new_user(self)
        self._watch_parent(end, self._link)

    def _watch_parent(self, end: socket.socket, link: Link) -> None:
        parent = os.getppid()
        pidfd = os.pidfd_open(parent)
        self._keeper.loop.watch(pidfd, link.close, link, ONCE)
        made_by, _, _ = CREDENTIALS.unpack(
            end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        )
        if made_by != parent:  # it has gone before we looked
            link.close()

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
