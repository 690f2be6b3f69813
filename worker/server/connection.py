"""The connection of a client that is known: HTTP/2 by grpclib, each request a Call.

grpclib's own server isn't used: it answers an unknown method without a content type and an
exception with UNKNOWN, buffers a message of any length, and hands a request to a table that
knows nothing of its connection. Here the calls of a connection know its identity, so that no
context variable is needed.
"""

from __future__ import annotations

import asyncio
from asyncio import BaseTransport, Task, Transport
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, H2Protocol, Stream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, UnknownFrameReceived
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from worker.server.call import Call
from worker.server.head import Headers
from worker.server.identity import Identity
from worker.server.limits import (
    CONNECTION_WINDOW,
    EARLY_STREAMS,
    KEEPALIVE_ANSWER_S,
    KEEPALIVE_S,
    STREAM_WINDOW,
    STREAMS,
    UNSENT,
)
from worker.server.service import Service

CONFIGURATION: Final = Configuration(
    http2_stream_window_size=STREAM_WINDOW,
    http2_connection_window_size=CONNECTION_WINDOW,
    _keepalive_time=KEEPALIVE_S,
    _keepalive_timeout=KEEPALIVE_ANSWER_S,
    _http2_max_pings_without_data=0,  # no limit: a silent job is no reason to stop
    _http2_min_sent_ping_interval_without_data=KEEPALIVE_S / 2,
).__for_server__()
HTTP2: Final = H2Configuration(
    client_side=False,
    header_encoding="latin-1",  # any byte is some character: none can end the connection
    validate_inbound_headers=False,  # they are judged with the request, and answered
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)


class Connection(H2Protocol):
    """`is_leaving`: the server is, so what is asked for first is refused, and then it says goodbye.

    Before that it says none: who had just come would take it for a connection that broke.
    """

    transport: Transport

    def __init__(
        self,
        caller: Identity,
        service: Service,
        tasks: asyncio.TaskGroup,
        on_lost: Callable[[Connection], None],
        *,
        is_leaving: bool,
    ) -> None:
        self._on_lost = on_lost
        self._calls = Calls(caller, service, tasks, self.go_away, is_leaving=is_leaving)
        super().__init__(self._calls, CONFIGURATION, HTTP2)

    def connection_made(self, transport: BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        self.transport.set_write_buffer_limits(high=UNSENT)
        super().connection_made(transport)
        self.connection._connection.local_settings = early_settings()  # noqa: SLF001 - no other way
        processors: dict[Any, Any] = self.processor.processors
        processors[UnknownFrameReceived] = lambda _: None  # RFC 9113, 5.5; grpclib raises
        processors[DataReceived] = self._on_data

    def data_received(self, data: bytes) -> None:
        if not self.connection.is_closing():  # grpclib's is in pieces by then
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._on_lost(self)

    def _on_data(self, event: DataReceived) -> None:
        # DATA without a byte is legal, and grpclib would take it for the end of the request.
        if event.flow_controlled_length:
            self.processor.process_data_received(event)

    def leave(self) -> None:
        """End what is being answered, refuse what comes, and let the client go."""
        self._calls.leave()

    async def wait_answered(self) -> None:
        """Until nothing is being answered."""
        await self._calls.is_idle.wait()

    def give_up(self) -> None:
        """Throw away what the client doesn't read, if anything is still to be answered."""
        if not self._calls.is_idle.is_set():
            self.transport.abort()

    def go_away(self) -> None:
        if self.connection.is_closing():  # grpclib's is in pieces by then
            return
        with suppress(H2Error):  # said before
            self.connection._connection.close_connection()  # noqa: SLF001 - grpclib has no way
            self.connection.flush()


def early_settings() -> Settings:
    """What holds until the client has acknowledged the settings that it is told.

    Else h2 ends the connection of one that has asked for more before it could know the limit.
    """
    settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: EARLY_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
        },
    )
    settings.max_concurrent_streams = STREAMS
    settings.initial_window_size = STREAM_WINDOW
    return settings


class Calls(AbstractHandler):
    """The requests of one connection that aren't answered yet."""

    def __init__(
        self,
        caller: Identity,
        service: Service,
        tasks: asyncio.TaskGroup,
        on_left: Callable[[], None],
        *,
        is_leaving: bool,
    ) -> None:
        self._caller = caller
        self._service = service
        self._tasks = tasks
        self._on_left = on_left
        self._open: dict[Stream, tuple[Call, Task[None]]] = {}
        self.is_idle = asyncio.Event()
        self.is_idle.set()
        self._is_leaving = is_leaving

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], Any]) -> None:
        call = Call(stream, headers, self._caller, self._service)
        if self._is_leaving:
            call.leave()
        task = self._tasks.create_task(call.run())
        self._open[stream] = call, task
        self.is_idle.clear()

        # Not in the call itself: one that is cancelled before it began would never get there.
        def forget(_task: Task[None]) -> None:
            del self._open[stream]
            try:
                release_stream()
            finally:
                if not self._open:
                    self.is_idle.set()
                    if self._is_leaving:
                        self._on_left()

        task.add_done_callback(forget)

    def cancel(self, stream: Stream) -> None:
        if stream in self._open:
            self._open[stream][1].cancel()

    def close(self) -> None:
        for _, task in self._open.values():
            task.cancel()

    def leave(self) -> None:
        self._is_leaving = True
        for call, _ in self._open.values():
            call.leave()
        if not self._open:
            self._on_left()
