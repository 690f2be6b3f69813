"""How a connection begins: whom it trusts, and what it says when that fails."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.testset import make_test_set
from gen import workerservice as wire
from tests.client.scripted import answering, client_of, server_side, serving
from worker.client import Client, ClientConfig
from worker.client.channel import client_channel
from worker.errors import BadConfig, Unavailable, WorkerError
from worker.rpc import tls
from worker.settings import Address

pytestmark = pytest.mark.every_python


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `certificates`, of another authority."""
    folder = tmp_path_factory.mktemp("others")
    make_test_set(folder, datetime.now(UTC))
    return folder


async def refused(config: ClientConfig) -> WorkerError:
    with pytest.raises(WorkerError) as error:
        async with Client(config):
            pytest.fail("connected")
    return error.value


@asynccontextmanager
async def listening(
    protocol: type[asyncio.Protocol], context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Address]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, host, 0, ssl=context)
    async with server:
        yield Address(host, server.sockets[0].getsockname()[1])


class Closes(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class TalksHttp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class Listens(asyncio.Protocol):
    heard = b""

    def data_received(self, data: bytes) -> None:
        type(self).heard += data


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_listens(certificates: Path, host: str) -> None:
    error = await refused(client_of(certificates, Address(host, free_port())))
    assert isinstance(error, Unavailable)
    assert "refused the connection: is workerserver running there?" in str(error)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b"], ids=["unknown", "impossible"])
async def test_no_such_host(certificates: Path, host: str) -> None:
    error = await refused(client_of(certificates, Address(host, 5000)))
    assert isinstance(error, Unavailable)
    assert f"{host}:5000" in str(error)


async def test_a_server_that_speaks_no_tls(certificates: Path) -> None:
    async with listening(TalksHttp) as address:
        error = await refused(client_of(certificates, address))
    assert isinstance(error, Unavailable)
    assert "is it a workerserver" in str(error)


async def test_a_server_that_closes_before_the_handshake(certificates: Path) -> None:
    async with listening(Closes) as address:
        error = await refused(client_of(certificates, address))
    assert isinstance(error, Unavailable)
    assert str(address) in str(error)


async def test_a_server_that_refuses_our_certificate(certificates: Path, others: Path) -> None:
    """In TLS 1.3 the client's handshake has succeeded by then."""
    async with serving(certificates) as config:
        stranger = client_of(others, config.server_address)
        error = await refused(
            ClientConfig(
                stranger.server_address,
                config.server_ca,
                stranger.client_certificate,
                stranger.client_key,
            )
        )
    assert isinstance(error, Unavailable)
    assert "certificate" in str(error)


async def test_a_server_of_another_authority(certificates: Path, others: Path) -> None:
    async with serving(others) as config:
        error = await refused(client_of(certificates, config.server_address))
    assert isinstance(error, BadConfig)
    assert "check serverAddress and serverCA" in str(error)


async def test_a_server_certified_for_another_name(certificates: Path) -> None:
    async with listening(Closes, server_side(certificates), "127.0.0.2") as address:
        error = await refused(client_of(certificates, address))
    assert isinstance(error, BadConfig)
    assert "127.0.0.2" in str(error)


async def test_a_file_that_cant_be_used_is_named(certificates: Path) -> None:
    config = client_of(certificates, Address("127.0.0.1", 1), name="none")
    error = await refused(config)
    assert isinstance(error, BadConfig)
    assert str(config.client_certificate) in str(error)


async def test_another_suite_gets_no_byte_of_http2(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Python that can't limit the suites of TLS 1.3."""
    other = "TLS_CHACHA20_POLY1305_SHA256"
    with monkeypatch.context() as patched:
        patched.setattr(tls, "SUITE", other)
        context = server_side(certificates)
    monkeypatch.setattr(tls, "pin_suite", lambda _: False)
    async with listening(Listens, context) as address:
        error = await refused(client_of(certificates, address))
    assert isinstance(error, Unavailable)
    assert other in str(error)
    assert Listens.heard == b""


@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1"], ids=["short", "long"])
async def test_an_ipv6_address_in_any_spelling(certificates: Path, host: str) -> None:
    async with listening(Closes, server_side(certificates), "::1") as address:
        error = await refused(client_of(certificates, Address(host, address.port)))
    # So far it came: the certificate was accepted.
    assert "closed the connection before it said anything" in str(error)


async def test_the_plain_stub_works_on_the_channel(certificates: Path) -> None:
    answer = answering(wire.StopResponse())
    async with serving(certificates, Stop=answer) as config, client_channel(config) as channel:
        stub = wire.WorkerServiceStub(channel)
        assert await stub.stop(wire.StopRequest()) == wire.StopResponse()
