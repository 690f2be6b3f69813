"""The socket to whoever uses the keeper: frames in, frames out, and no waiting for either."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol

from worker.keeper.frames import BadFrame, Frames, encode
from worker.keeper.log import say
from worker.keeper.loop import READABLE, WRITABLE, Loop, Timer
from worker.keeper.messages import Message

PIECE: Final = 256 * 1024
PATIENCE_S: Final = 10.0


class Patron(Protocol):
    """Who is at the other end, as far as the link must know."""

    def on_message(self, message: Message, raw: bytes) -> None: ...

    def on_lost(self) -> None:
        """The link is closed: end of file, nonsense, or no byte taken for PATIENCE_S."""


class Link:
    def __init__(self, loop: Loop, end: socket.socket, patron: Patron) -> None:
        end.settimeout(0)
        self._loop, self._socket, self._patron = loop, end, patron
        self._frames = Frames()
        self._unsent = bytearray()
        self._patience: Timer | None = None
        self._when_sent: Callable[[], None] | None = None
        self._is_closed = False
        loop.watch(end.fileno(), self._on_ready, self)

    def send(self, message: Message) -> None:
        """Never blocks; what the socket doesn't take now goes out as it drains."""
        if self._is_closed:
            return
        self._unsent += encode(message)
        self._flush()

    def finish(self, then: Callable[[], None]) -> None:
        """Call `then` once all is sent and our side of the socket is shut, or the link closed."""
        if self._is_closed:
            then()
            return
        self._when_sent = then
        self._flush()

    def close(self) -> None:
        """Closing twice is no error."""
        if not self._is_closed:
            self._is_closed = True
            if self._patience:
                self._patience.cancel()
            try:
                self._loop.forget(self._socket.fileno())
                self._socket.close()
            finally:
                self._patron.on_lost()
                then, self._when_sent = self._when_sent, None
                if then:
                    then()

    def give_up(self) -> None:
        self.close()

    def _on_ready(self) -> None:
        if self._unsent:
            self._flush()
        if self._is_closed:
            return
        try:
            data = self._socket.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for message, raw in self._frames.feed(data):
                self._patron.on_message(message, raw)
        except BadFrame as error:
            say(f"link closed: {error}")
            self.close()

    def _flush(self) -> None:
        try:
            taken = self._socket.send(self._unsent) if self._unsent else 0
        except BlockingIOError:
            taken = 0
        except OSError:  # the other end is gone: its end of file is read next
            self._unsent.clear()
            return
        del self._unsent[:taken]
        if taken and self._patience:
            self._patience.cancel()
            self._patience = None
        if self._unsent and not self._patience:
            self._patience = self._loop.call_in(PATIENCE_S, self._lose_patience, self)
        self._loop.change(self._socket.fileno(), READABLE | (WRITABLE if self._unsent else 0))
        if self._when_sent and not self._unsent:
            then, self._when_sent = self._when_sent, None
            self._socket.shutdown(socket.SHUT_WR)
            then()

    def _lose_patience(self) -> None:
        say(f"link closed: no byte was taken for {PATIENCE_S:.0f} s")
        self.close()
