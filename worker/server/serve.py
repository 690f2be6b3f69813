"""What the serving process does, a child of the keeper: `python -I -m worker.server`.

It may be killed at any moment: the keeper starts the next one, and nothing of a job is lost. So
SIGTERM and SIGINT have no handler here; to end the service is the keeper's business. Exit status:
0 when the keeper has left, as main's otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from worker.errors import SetupError, WorkerError
from worker.jobs.registry import Registry
from worker.rpc.tls import server_context
from worker.server.config import ServerConfig
from worker.server.door import Door, door_of
from worker.server.entrance import status_of
from worker.server.limits import ACCEPTED_AT_ONCE, BACKLOG, HANDSHAKE_S, TLS_END_S, UNREAD
from worker.server.main import CAN_BE_MENDED
from worker.server.memory import keep_loaded
from worker.server.service import Service
from worker.server.started import Started
from worker.server.terms import terms_of, watching
from worker.settings import Address

log = logging.getLogger(__name__)


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    given = Started.parsed()
    try:
        config = ServerConfig.load(given.config)
        config = as_started(config, given)
        config.permitted.check_kept(given.controllers)
        sockets = [socket.socket(fileno=each) for each in given.listen]
        # A copy: where the socket ends before we do, the keeper kills us, and nobody is told why.
        keeper = socket.socket(fileno=os.dup(given.keeper))
        return asyncio.run(serve(config, sockets, keeper))
    except WorkerError as error:
        log.error("%s", error)
        return CAN_BE_MENDED if isinstance(error, SetupError) else 1


def as_started(config: ServerConfig, given: Started) -> ServerConfig:
    """The keeper has our sockets and our jobs: they stay where they are, whatever was edited."""
    for difference in given.differences(config):
        log.warning("%s", difference)
    address = Address.parsed(given.address)
    return replace(config, listen_address=address, state_directory=given.state)


async def serve(
    config: ServerConfig, sockets: Sequence[socket.socket], keeper: socket.socket
) -> int:
    """Until the keeper is gone."""
    context = server_context(config.client_ca, config.server_certificate, config.server_key)
    async with (
        Registry(
            config.state_directory,
            keeper=keeper,
            retention=config.retention,
            job_user=config.permitted.job_user,
        ) as registry,
        door_of(Service(registry, config.permitted)) as door,
        watching(terms_of(config, context)),
        asyncio.TaskGroup() as tasks,
    ):
        async with accepting(door, sockets, context):
            keep_loaded()
            registry.ready(config.shutdown_grace)
            announce(config.listen_address, sockets)
            leaving = tasks.create_task(leave(registry, door))
            is_done = await registry.wait_keeper_gone()
        # Who comes from here on waits for the next server.
        if is_done:
            await leaving
        else:
            leaving.cancel()
            await door.wait_answered()  # that the keeper is lost, as far as it isn't known already
            door.leave()
        await door.wait_empty()
        return 0 if is_done else 1


@asynccontextmanager
async def accepting(
    door: Door, sockets: Sequence[socket.socket], context: ssl.SSLContext
) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    SSLProtocol.max_size = UNREAD  # nothing else sets it: an idle connection was 300 KiB
    servers: list[asyncio.Server] = []
    try:
        for each in sockets:
            server = await loop.create_server(
                door.visitor,
                sock=each,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=TLS_END_S,
                backlog=ACCEPTED_AT_ONCE,
            )
            servers.append(server)
            each.listen(BACKLOG)  # asyncio takes its `backlog` for both
        yield
    finally:
        for server in servers:
            server.close()  # wait_closed() hangs from Python 3.12 on while a client is there


async def leave(registry: Registry, door: Door) -> None:
    """New connections are still taken, to be told UNAVAILABLE."""
    await registry.wait_leaving()
    door.leave()
    await door.wait_answered()
    registry.left()


def announce(address: Address, sockets: Sequence[socket.socket]) -> None:
    where = Address(address.host, sockets[0].getsockname()[1])
    with suppress(OSError):  # nobody listens
        os.write(1, f"listening on {where}\n".encode())


if __name__ == "__main__":  # for a service that began with older code
    sys.exit(status_of("worker.server.serve"))
