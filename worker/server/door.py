"""Where connections come in: each is looked at once, after its handshake, and sent on its way.

With a certificate it becomes a Connection as soon as it speaks HTTP/2, and is closed if it
doesn't soon; without one it is a Stranger.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

from worker.errors import OtherProtocol
from worker.rpc.tls import check_connection
from worker.server.connection import Connection
from worker.server.identity import Identity
from worker.server.limits import ANSWERED_S, IDLE_PROBE_S, IDLE_S, LEAVE_S, PREFACE_S
from worker.server.memory import Memory
from worker.server.service import Service
from worker.server.stranger import Stranger

log = logging.getLogger(__name__)

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4


class Door:
    """All connections of a server."""

    def __init__(self, service: Service, tasks: asyncio.TaskGroup) -> None:
        self._service = service
        self._tasks = tasks
        self._connections: set[Connection] = set()
        self._strangers: set[Stranger] = set()
        self._memory = Memory()
        self._is_leaving = False
        self._is_empty = asyncio.Event()  # of connections
        self._is_empty.set()

    def visitor(self) -> Visitor:
        return Visitor(self)

    def stranger(self) -> Stranger:
        return Stranger(self._strangers)

    def connect(self, caller: Identity, transport: Transport, data: bytes) -> None:
        """A client that is known has said `data`."""
        connection = Connection(
            caller, self._service, self._tasks, self._forget, is_leaving=self._is_leaving
        )
        self._connections.add(connection)
        self._is_empty.clear()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    def leave(self) -> None:
        """End what is being answered with UNAVAILABLE, and whatever still comes."""
        self._is_leaving = True
        for connection in list(self._connections):
            try:
                connection.leave()
            except Exception:  # a barrier: it costs that one client its goodbye
                log.exception("a connection could not be told that the server is leaving")
                connection.transport.abort()

    async def wait_answered(self) -> None:
        """After `leave`: until all that was asked is answered; who doesn't read is given up."""
        present = list(self._connections)
        try:
            async with asyncio.timeout(ANSWERED_S):
                for connection in present:
                    await connection.wait_answered()
        except TimeoutError:
            for connection in present:
                connection.give_up()

    async def wait_empty(self) -> None:
        """Until the clients have read that the server is leaving, and gone; not for long."""
        self.leave()  # for those who came meanwhile and have asked for nothing
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._is_empty.wait()

    def close(self) -> None:
        transports = [each.transport for each in self._connections]
        for transport in (*transports, *(each.transport for each in self._strangers)):
            transport.abort()

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._memory.give_back_soon()
        if not self._connections:
            self._is_empty.set()


@asynccontextmanager
async def door_of(service: Service) -> AsyncIterator[Door]:
    async with asyncio.TaskGroup() as tasks:
        door = Door(service, tasks)
        try:
            yield door
        finally:
            door.close()


def keep_asking(connection: socket.socket) -> None:
    """A client that went without a word, as a laptop that sleeps, is noticed in some minutes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, IDLE_PROBE_S)


class Visitor(asyncio.Protocol):
    """A connection of which only the handshake is known."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._said = b""
        self._transport: Transport
        self._caller: Identity
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        keep_asking(transport.get_extra_info("socket"))
        tls = transport.get_extra_info("ssl_object")
        try:
            check_connection(tls)
        except OtherProtocol as error:
            log.warning("%s: %s", transport.get_extra_info("peername"), error)
            self._transport.abort()
            return
        # grpclib's Peer.cert() is the decoded form, which leaves out the extensions.
        certificate = tls.getpeercert(binary_form=True)
        if certificate is None:
            stranger = self._door.stranger()
            self._transport.set_protocol(stranger)
            stranger.connection_made(transport)
            return
        self._caller = caller = Identity.of(certificate)
        if caller.role is None:
            shown = caller.name, caller.fingerprint[:16], caller.why_no_role
            log.warning("the certificate of %s (sha256 %s...) has no role: %s", *shown)
        self._timer = asyncio.get_running_loop().call_later(PREFACE_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._said += data
        if not self._said.startswith(PREFACE[: len(self._said)]):
            self._transport.abort()
        elif len(self._said) >= len(PREFACE):
            self.connection_lost(None)
            self._door.connect(self._caller, self._transport, self._said)

    def connection_lost(self, _exc: BaseException | None) -> None:
        if self._timer:
            self._timer.cancel()
