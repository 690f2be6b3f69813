"""One connection to the server: HTTP/2 that begins only on TLS as we want it, and its end.

A connection counts once the server has spoken: in TLS 1.3 a server that refuses the client's
certificate does so after the client has seen the handshake succeed.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import BaseTransport, Transport
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

from grpclib.client import Handler
from grpclib.config import Configuration
from grpclib.exceptions import StreamTerminatedError
from grpclib.protocol import EventsProcessor, H2Protocol, Stream
from grpclib.utils import Wrapper
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, StreamEnded

from worker.errors import OtherProtocol
from worker.rpc.statuses import LEAVING, NotBegun
from worker.rpc.tls import ALPN, check_connection

NO_STATUS: Final = "an answer ended without its status"


class PinnedProtocol(H2Protocol):
    """`is_outdated`: whether the next one would be made with another certificate."""

    def __init__(
        self, config: Configuration, h2_config: H2Configuration, is_outdated: Callable[[], bool]
    ) -> None:
        super().__init__(Handler(), config, h2_config)
        self._is_outdated = is_outdated
        self._is_retired = False
        self.handler: Handler
        self._transport: Transport | None = None
        self._begun = False
        self._fault: OtherProtocol | OSError | None = None
        self._spoken = asyncio.Event()  # to by the server, or lost
        self._lost = asyncio.Event()
        self._waking: set[Wrapper] = set()

    @property
    def has_room(self) -> bool:
        """For one more request; a server allows so many at once, ours 100."""
        # grpclib takes one for connected until it has closed, which takes a silent one a while.
        if self._is_retired or self.handler.connection_lost or self.connection.is_closing():
            return False
        return (
            self._http2.open_outbound_streams < self._http2.remote_settings.max_concurrent_streams
        )

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    def retire(self) -> bool:
        """Take no more requests, if the next connection would have another certificate."""
        self._is_retired = self._is_retired or self._is_outdated()
        return self._is_retired

    def end_if_done(self) -> None:
        """Whoever is the last on a connection that takes no more requests closes it."""
        is_retired = self._is_retired and not self._waking
        if (is_retired or self.handler.connection_lost) and not self.processor.streams:
            self.processor.close()

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        try:
            check_connection(tls)
            check_http2(tls)
        except OtherProtocol as fault:
            self._fault = fault
            self._transport.abort()
        else:
            super().connection_made(transport)
            self._http2: H2Connection = self.connection._connection  # noqa: SLF001 - no other way
            self.processor = Processor(self.handler, self.connection)
            self._begun = True

    def data_received(self, data: bytes) -> None:
        self._spoken.set()
        if not self.connection.is_closing():  # grpclib's is in pieces by then
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self._spoken.is_set() and self._fault is None:
            self._fault = exc if isinstance(exc, OSError) else ConnectionAbortedError()
        self._spoken.set()
        self._lost.set()
        if self._begun:
            super().connection_lost(exc)
        for wrapper in self._waking:
            wrapper.cancel(StreamTerminatedError("Connection lost"))

    @contextmanager
    def waking(self, wrapper: Wrapper) -> Iterator[None]:
        """The loss of the connection wakes `wrapper`, also where it has no stream yet."""
        self._waking.add(wrapper)
        try:
            yield
        finally:
            self._waking.discard(wrapper)

    async def wait_greeted(self) -> None:
        """Until the server has spoken. Raises what was wrong with the connection."""
        await self._spoken.wait()
        if self._fault is not None:
            raise self._fault

    async def wait_lost(self, timeout: float) -> None:
        """Until the connection is closed, by force after `timeout` seconds."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._lost.wait()
        finally:
            if self._transport is not None:
                self._transport.abort()


def check_http2(connection: ssl.SSLObject) -> None:
    if connection.selected_alpn_protocol() != ALPN:
        raise OtherProtocol("the other side doesn't speak HTTP/2: is it a workerserver?")


class Processor(EventsProcessor):
    """Takes what HTTP/2 allows and grpclib doesn't expect."""

    def process(self, event: Event) -> None:
        with suppress(NotImplementedError):  # RFC 9113, 5.5: what isn't known is ignored
            super().process(event)

    def process_data_received(self, event: DataReceived) -> None:
        if event.flow_controlled_length:  # an empty frame would be taken for the end
            super().process_data_received(event)

    def process_stream_ended(self, event: StreamEnded) -> None:
        super().process_stream_ended(event)
        stream = self.streams.get(event.stream_id)
        if stream is None or stream.trailers is not None:
            return
        if "grpc-status" not in dict(stream.headers or ()):  # it would be waited for, for ever
            stream.__terminated__(NO_STATUS)

    def process_connection_terminated(self, event: ConnectionTerminated) -> None:
        is_fault = event.error_code != ErrorCodes.NO_ERROR
        why = f"the server ended it, error code {event.error_code}" if is_fault else LEAVING
        unanswered = [each for each in self.streams.values() if not is_answered(each)]
        for stream in unanswered:
            is_begun = (stream.id or 0) <= (event.last_stream_id or 0)
            if stream.wrapper:
                stream.wrapper.cancel((StreamTerminatedError if is_begun else NotBegun)(why))
        if self.streams.keys() == {stream.id for stream in unanswered}:
            self.close(why)
        else:
            self.handler.close()  # whoever has an answer reads it first


def is_answered(stream: Stream) -> bool:
    """All of the answer is here, be it read or not."""
    return "grpc-status" in dict(stream.trailers or stream.headers or ())
