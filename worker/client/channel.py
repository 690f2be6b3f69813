"""The channel to the server: it dials when a request needs it, and tells what went wrong."""

from __future__ import annotations

import asyncio
import logging
from asyncio import FIRST_COMPLETED, Transport
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, TypeVar

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Cardinality
from grpclib.metadata import Deadline
from multidict import MultiDict

from worker.client.call import Call
from worker.client.config import ClientConfig
from worker.client.connection import PinnedProtocol
from worker.client.diagnose import diagnosed
from worker.client.examine import Credentials, examined
from worker.errors import BadCredentials, Unavailable
from worker.rpc.codec import StrictCodec

log = logging.getLogger(__name__)

RACE_TIME: Final = 1.0  # seconds that who cancels a dial waits at most, until an address has won
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

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


def client_channel(config: ClientConfig) -> Channel:
    """For the generated stub; it connects at the first call. Raises BadCredentials.

    `async with` it: its end waits until the connection is closed.
    """
    return PinnedChannel(config)


class PinnedChannel(Channel):
    _protocol: PinnedProtocol | None

    def __init__(self, config: ClientConfig) -> None:
        self._client = config
        self._credentials = examined(config)
        self._open: list[PinnedProtocol] = []
        self.is_closed = False
        super().__init__(
            config.server_address.host,
            config.server_address.port,
            ssl=self._credentials.context,
            codec=StrictCodec(),
            config=CONFIGURATION,
        )

    async def connect(self) -> None:
        """Now instead of at the first call. Raises SetupError or Unavailable, with the reason."""
        await self.__connect__()

    def request(  # noqa: PLR0913 - grpclib's signature
        self,
        name: str,
        cardinality: Cardinality,
        request_type: type[Asked],
        reply_type: type[Answered],
        *,
        timeout: float | None = None,
        deadline: Deadline | None = None,
        metadata: Any = None,
    ) -> Call[Asked, Answered]:
        limits = [] if deadline is None else [deadline]
        if timeout is not None:
            limits.append(Deadline.from_timeout(timeout))
        headers: Any = MultiDict(metadata or ())
        return Call(
            self,
            name,
            headers,
            cardinality,
            request_type,
            reply_type,
            codec=self._codec,
            status_details_codec=None,
            dispatch=self.__dispatch__,
            deadline=min(limits, default=None),
        )

    async def __connect__(self) -> PinnedProtocol:
        """A connection with room for one more request: a new one where there is none."""
        if ready := self._with_room():
            return ready
        async with self._connect_lock:
            self._protocol = self._with_room() or await self._create_connection()
            return self._protocol

    def _with_room(self) -> PinnedProtocol | None:
        return next((each for each in self._open if each.has_room), None)

    async def _create_connection(self) -> PinnedProtocol:
        if self.is_closed:
            raise Unavailable("this client is closed")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, protocol = await self._dialled()
                with ExitStack() as undo:
                    undo.callback(transport.abort)
                    await protocol.wait_greeted()
                    if self.is_closed:
                        raise Unavailable("this client is closed")
                    undo.pop_all()
        except (OSError, UnicodeError) as error:
            raise await diagnosed(self._client, error) from error
        self._open = [*(each for each in self._open if not each.is_lost), protocol]
        return protocol

    async def _dialled(self) -> tuple[Transport, PinnedProtocol]:
        won: asyncio.Future[None] = self._loop.create_future()
        credentials = self._renewed()

        def is_outdated() -> bool:
            return self._renewed().shown != credentials.shown

        def protocol() -> PinnedProtocol:  # asyncio asks for it when one of the addresses has won
            won.set_result(None)
            return PinnedProtocol(self._config, self._h2_config, is_outdated)

        dialling = asyncio.create_task(
            self._loop.create_connection(
                protocol,
                self._host,
                self._port,
                ssl=credentials.context,
                ssl_shutdown_timeout=CLOSE_TIMEOUT,
                happy_eyeballs_delay=0.25,
            )
        )
        try:
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:  # asyncio loses the socket of a race that is cancelled
            dialling.add_done_callback(_hung_up)
            either: list[asyncio.Future[Any]] = [won, dialling]
            try:
                await asyncio.wait(either, timeout=RACE_TIME, return_when=FIRST_COMPLETED)
            finally:
                dialling.cancel()
            raise

    def _renewed(self) -> Credentials:
        """What is in the files now: they may have been renewed since they were read."""
        try:
            self._credentials = examined(self._client)
        # Being replaced just now, or worse: the server will say.
        except (BadCredentials, OSError) as error:
            log.info("%s; the one that was read before is used", error)
        return self._credentials

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.is_closed = True
        self.close()
        for protocol in self._open:
            protocol.processor.close()
        for protocol in self._open:
            await protocol.wait_lost(CLOSE_TIMEOUT)


def _hung_up(dialling: asyncio.Task[tuple[Transport, PinnedProtocol]]) -> None:
    if not dialling.cancelled() and not dialling.exception():
        transport, _ = dialling.result()
        transport.abort()
