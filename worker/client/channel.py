"""The connection to the server: TCP, TLS with the one suite, then HTTP/2.

Not a byte of HTTP/2 leaves before the suite is checked, and a connection counts only once the
server has spoken: in TLS 1.3 a server that refuses the client's certificate does so after the
client has seen the handshake succeed.
"""

from __future__ import annotations

import asyncio
from asyncio import BaseTransport, Transport
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Final, cast

from grpclib.client import Channel, Handler
from grpclib.config import Configuration
from grpclib.protocol import H2Protocol
from h2.config import H2Configuration

from worker.client.config import ClientConfig
from worker.client.diagnose import diagnosed
from worker.errors import WorkerError
from worker.rpc.codec import StrictCodec
from worker.rpc.tls import check_connection, client_context

CONNECT_TIMEOUT: Final = 10.0  # seconds until the server has spoken
CLOSE_TIMEOUT: Final = 1.0
# Middle boxes cut what is quiet for 30 s; a server that is gone is noticed after both.
KEEPALIVE_TIME: Final = 15.0
KEEPALIVE_TIMEOUT: Final = 15.0
STREAM_WINDOW: Final = 256 * 1024  # what a slow reader of an output holds in memory
CONNECTION_WINDOW: Final = 4 * 1024 * 1024

CONFIGURATION: Final = Configuration(
    http2_stream_window_size=STREAM_WINDOW,
    http2_connection_window_size=CONNECTION_WINDOW,
    _keepalive_time=KEEPALIVE_TIME,
    _keepalive_timeout=KEEPALIVE_TIMEOUT,
    _http2_max_pings_without_data=0,  # no limit: a silent job is no reason to stop
    _http2_min_sent_ping_interval_without_data=KEEPALIVE_TIME / 2,
)


def client_channel(config: ClientConfig) -> Channel:
    """For the generated stub; it connects at the first call. Raises BadConfig.

    `async with` it: its end waits until the connection is closed.
    """
    return PinnedChannel(config)


class PinnedChannel(Channel):
    def __init__(self, config: ClientConfig) -> None:
        self._address = config.server_address
        super().__init__(
            self._address.host,
            self._address.port,
            ssl=client_context(config.server_ca, config.client_certificate, config.client_key),
            codec=StrictCodec(),
            config=CONFIGURATION,
        )

    async def connect(self) -> None:
        """Now instead of at the first call. Raises BadConfig or Unavailable, with the reason."""
        await self.__connect__()

    def _protocol_factory(self) -> PinnedProtocol:
        return PinnedProtocol(self._config, self._h2_config)

    async def _create_connection(self) -> PinnedProtocol:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, protocol = await self._loop.create_connection(
                    self._protocol_factory,
                    self._host,
                    self._port,
                    ssl=self._ssl,
                    ssl_shutdown_timeout=CLOSE_TIMEOUT,
                    happy_eyeballs_delay=0.25,
                )
                with ExitStack() as undo:
                    undo.callback(transport.abort)
                    await protocol.wait_greeted()
                    undo.pop_all()
        except (OSError, UnicodeError) as error:
            raise diagnosed(self._address, error) from error
        return protocol

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        protocol = cast("PinnedProtocol | None", self._protocol)
        self.close()
        if protocol is not None:
            await protocol.wait_lost(CLOSE_TIMEOUT)


class PinnedProtocol(H2Protocol):
    """HTTP/2 that starts only on a connection with the one suite."""

    def __init__(self, config: Configuration, h2_config: H2Configuration) -> None:
        super().__init__(Handler(), config, h2_config)
        self._transport: Transport | None = None
        self._begun = False
        self._fault: WorkerError | OSError | None = None
        self._spoken = asyncio.Event()  # to by the server, or lost
        self._lost = asyncio.Event()

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        try:
            check_connection(transport.get_extra_info("ssl_object"))
        except WorkerError as fault:
            self._fault = fault
            self._transport.abort()
        else:
            super().connection_made(transport)
            self._begun = True

    def data_received(self, data: bytes) -> None:
        self._spoken.set()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self._spoken.is_set() and self._fault is None:
            self._fault = exc if isinstance(exc, OSError) else ConnectionAbortedError()
        self._spoken.set()
        self._lost.set()
        if self._begun:
            super().connection_lost(exc)

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
