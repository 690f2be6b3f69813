"""A handshake that fails: what the client is told, what the log says, what it may cost."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.folder import load_pair, write_pair
from certs.issue import client_certificate, issued
from worker.rpc import handshake
from worker.rpc.handshake import Refusals
from worker.rpc.role import Role
from worker.rpc.tls import client_context, server_context

pytestmark = pytest.mark.every_python
NOW = datetime.now(UTC)
SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@asynccontextmanager
async def serving(certificates: Path, timeout: float = 10) -> AsyncIterator[int]:
    files = (certificates / name for name in ("ca.pem", "server.pem", "server.key"))
    server = await asyncio.get_running_loop().create_server(
        *(Greeting, "127.0.0.1", 0), ssl=server_context(*files), ssl_handshake_timeout=timeout
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def connected(
    port: int, context: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def context_of(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture
def expired(certificates: Path, tmp_path: Path) -> ssl.SSLContext:
    authority = load_pair(certificates, "ca")
    write_pair(tmp_path, "ca", authority)
    issued_at = NOW - timedelta(days=9)
    pair = client_certificate(authority, "ada", Role.FULL, now=issued_at, days=1)
    write_pair(tmp_path, "ada", pair)
    return context_of(tmp_path, "ada")


async def test_the_alert_arrives_though_the_client_has_already_spoken(
    certificates: Path, expired: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(certificates) as port, connected(port, expired) as (reader, writer):
        for _ in range(16):
            writer.write(bytes(1024))
        with pytest.raises(ssl.SSLError, match="ALERT_CERTIFICATE_EXPIRED"):
            await reader.read()
    assert caplog.messages == [
        "refused a handshake: the client's certificate: certificate has expired"
    ]


async def test_a_client_that_floods_instead_of_reading_is_cut_off(
    certificates: Path, expired: ssl.SSLContext
) -> None:
    async with serving(certificates, 600) as port, connected(port, expired) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a Transport
        with pytest.raises(ConnectionError):
            await poured(writer)


async def poured(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(handshake.DISCARDED))
        await writer.drain()


async def test_a_client_that_does_not_go_is_sent_away_in_time(
    certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(certificates, timeout=0.2) as port,
        connected(port, None) as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""  # for this OpenSSL has no alert
    assert caplog.messages == ["refused a handshake: http request"]


async def test_names_that_are_no_text_do_not_break_the_handshake(
    certificates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = load_pair(certificates, "ca")
    write_pair(tmp_path, "ca", authority)
    names = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x04\x82\x02a\xff")
    write_pair(tmp_path, "ada", issued(authority, "ada", [names], now=NOW))
    context = context_of(tmp_path, "ada")
    async with serving(certificates) as port, connected(port, context) as (reader, _):
        assert await reader.read() == b"hello"
    assert caplog.messages == []


async def test_ours_is_told_too(certificates: Path, tmp_path: Path) -> None:
    write_pair(tmp_path, "ca", load_pair(certificates, "ca"))
    pair = issued(load_pair(certificates, "ca"), "ada", [SERVERS], now=NOW)
    write_pair(tmp_path, "ada", pair)
    context = client_context(*(tmp_path / name for name in ("ca.pem", "ada.pem", "ada.key")))
    async with serving(certificates) as port, connected(port, context) as (reader, _):
        with pytest.raises(ssl.SSLError, match="ALERT_UNSUPPORTED_CERTIFICATE"):
            await reader.read()


def test_a_reason_is_said_at_once_and_then_once_a_minute_with_a_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    now = 1000.0
    refusals = Refusals(lambda: now)
    for _ in range(5):
        refusals.add("expired")
    refusals.add("unknown ca")
    now += handshake.QUIET_S
    refusals.add("expired")
    now += handshake.QUIET_S
    refusals.add("expired")
    assert caplog.messages == [
        "refused a handshake: expired",
        "refused a handshake: unknown ca",
        "refused a handshake: expired (and 4 more since the last such line)",
        "refused a handshake: expired",
    ]
