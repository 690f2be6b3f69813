"""A connection without a certificate: it is told so, and that is all it gets.

HTTP/2 has to be spoken for that, so it has one small budget. No body is decoded. Closing at once
would lose the answer: bytes of the client that nobody has read turn the end into a reset, which
overtakes it. So our side ends, and what still comes is thrown away.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import BaseTransport, TimerHandle, Transport
from contextlib import suppress
from typing import Final, cast

from grpclib.const import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import H2Error

from worker.server.head import ANSWER, trailers
from worker.server.limits import (
    STRANGER_DISCARD,
    STRANGER_DISCARD_S,
    STRANGER_READ,
    STRANGER_S,
    STRANGERS,
)

HTTP2: Final = H2Configuration(
    client_side=False, header_encoding="latin-1", validate_inbound_headers=False
)
ANSWERED: Final = [
    *ANSWER,
    *trailers(Status.UNAUTHENTICATED, "present a client certificate of this server's authority"),
]


class Stranger(asyncio.Protocol):
    """`present` are all that are connected now."""

    def __init__(self, present: set[Stranger]) -> None:
        self._present = present
        self._http2 = H2Connection(HTTP2)
        self._left = STRANGER_READ  # bytes that it may still send
        self._is_answered = False
        self.transport: Transport
        self._timer: TimerHandle

    def connection_made(self, transport: BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(STRANGER_S, self.transport.abort)
        if len(self._present) >= STRANGERS:
            self.transport.abort()
            return
        self._present.add(self)
        self._http2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        taken = data[: self._left]
        self._left -= len(data)
        if not self._is_answered:
            self._answer(taken)
        if self._left < 0:
            self.transport.abort()

    def connection_lost(self, _exc: BaseException | None) -> None:
        self._timer.cancel()
        self._present.discard(self)

    def _answer(self, data: bytes) -> None:
        """Each request in `data`; after the first of them nothing more is read."""
        try:
            for event in self._http2.receive_data(data):
                if isinstance(event, RequestReceived):
                    self._http2.send_headers(event.stream_id, ANSWERED, end_stream=True)
                    self._is_answered = True
            if self._is_answered:
                self._http2.close_connection()
        except H2Error:
            self._is_answered = True  # by what HTTP/2 itself has to say about it
        self._flush()
        if self._is_answered:
            self._end()

    def _end(self) -> None:
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(
            STRANGER_DISCARD_S, self.transport.abort
        )
        self._left += STRANGER_DISCARD
        with suppress(OSError):  # it has gone
            # asyncio can't end one side of TLS; the answer is small and has left at once.
            self.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def _flush(self) -> None:
        self.transport.write(self._http2.data_to_send())
