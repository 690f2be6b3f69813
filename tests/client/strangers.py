"""Servers that aren't ours, and what a client says about them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from worker.client import Client, ClientConfig
from worker.errors import WorkerError
from worker.settings import Address


class Silent(asyncio.Protocol):
    pass


class Closes(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class TalksHttp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        transport.close()


class Listens(asyncio.Protocol):
    heard = b""

    def data_received(self, data: bytes) -> None:
        type(self).heard += data


@asynccontextmanager
async def listening(
    protocol: Callable[[], asyncio.Protocol],
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Address]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, host, 0, ssl=context)
    async with server:
        yield Address(host, server.sockets[0].getsockname()[1])


async def refused(config: ClientConfig) -> WorkerError:
    """Why a client can't connect: one sentence."""
    with pytest.raises(WorkerError) as error:
        async with Client(config):
            pytest.fail("connected")
    assert "\n" not in str(error.value)
    return error.value
