"""Handshakes over loopback: what is agreed, who gets in, and with which role."""

from __future__ import annotations

import _ssl
import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import testset
from certs.authority import Pair, new_authority
from certs.folder import load_pair, write_pair
from certs.issue import client_certificate, issued, server_certificate
from tests.rpc.test_role import role_of
from worker.errors import BadConfig, OtherProtocol, WrongUsage
from worker.rpc import tls
from worker.rpc.role import ROLE_OID, Role, encoded
from worker.rpc.tls import SUITE, check_connection, client_context, server_context

pytestmark = pytest.mark.every_python
NOW = datetime.now(UTC)
REFUSED = ""
HAS_METHOD = hasattr(ssl.SSLContext, "set_ciphersuites")


def server_of(folder: Path, name: str = "server") -> ssl.SSLContext:
    return server_context(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")


def client_of(folder: Path, name: str = "full") -> ssl.SSLContext:
    return client_context(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a server that tells each client what was agreed, and the client's role."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("ssl_object")
        certificate = connection.getpeercert(binary_form=True)
        role = role_of(certificate) if certificate else "anonymous"
        words = (connection.version(), connection.cipher()[0], str(role))
        writer.write(("served " + " ".join(words) + "\n").encode())
        writer.close()

    server = await asyncio.start_server(tell, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def openssl(port: int, *arguments: str | Path) -> str:
    """What `openssl s_client` printed until the server closed."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    printed, _ = await process.communicate()
    return printed.decode()


async def dialled(port: int, context: ssl.SSLContext, name: str = "localhost") -> str:
    """What the server said to Python with our context; REFUSED if it closed without a word."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name
    )
    try:
        check_connection(writer.get_extra_info("ssl_object"))
        return (await reader.read()).decode().removesuffix("\n")
    except ConnectionError:
        return REFUSED
    finally:
        writer.close()


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(("-tls1_3",), id="TLS 1.3 with all its suites"),
        pytest.param(("-tls1_3", "-ciphersuites", SUITE), id="ours alone"),
        pytest.param(
            (
                *("-tls1_3", "-ciphersuites"),
                f"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:{SUITE}",
            ),
            id="ours as the last",
        ),
        pytest.param((), id="every version"),
    ],
)
async def test_a_client_that_offers_our_suite_gets_it(
    certificates: Path, offer: tuple[str, ...]
) -> None:
    async with serving(server_of(certificates)) as port:
        assert f"served TLSv1.3 {SUITE} anonymous" in await openssl(port, *offer)


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"), id="AES 128"),
        pytest.param(("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), id="ChaCha20"),
        pytest.param(
            (
                *("-tls1_3", "-ciphersuites"),
                "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
            ),
            id="both",
        ),
        pytest.param(("-tls1_2",), id="TLS 1.2"),
        pytest.param(
            ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), id="its like in TLS 1.2"
        ),
        pytest.param(("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), id="TLS 1.1"),
    ],
)
async def test_a_client_that_offers_another_suite_or_version_is_refused(
    certificates: Path, offer: tuple[str, ...]
) -> None:
    async with serving(server_of(certificates)) as port:
        printed = await openssl(port, *offer)
        assert "Cipher is (NONE)" in printed
        assert "served" not in printed
        assert "served" in await openssl(port)  # and the next one isn't


@pytest.mark.parametrize(
    ("name", "role"), [("full", "full"), ("readonly", "readonly"), ("norole", "None")]
)
async def test_a_foreign_client_has_its_role(certificates: Path, name: str, role: str) -> None:
    identity = ("-cert", certificates / f"{name}.pem", "-key", certificates / f"{name}.key")
    async with serving(server_of(certificates)) as port:
        assert f"served TLSv1.3 {SUITE} {role}" in await openssl(port, *identity)


async def test_http2_is_agreed(certificates: Path) -> None:
    async with serving(server_of(certificates)) as port:
        assert "ALPN protocol: h2" in await openssl(port, "-alpn", "http/1.1,h2")


@pytest.mark.parametrize(
    ("tickets", "resumable"),
    [
        pytest.param(None, False, id="our server"),
        pytest.param(1, True, id="one that gives a ticket, as a control"),
    ],
)
async def test_no_session_can_be_resumed(
    certificates: Path, tmp_path: Path, tickets: int | None, *, resumable: bool
) -> None:
    context = server_of(certificates)
    if tickets is not None:
        context.num_tickets = tickets
    session = tmp_path / "session"
    async with serving(context) as port:
        assert "served" in await openssl(port, "-sess_out", session)
    assert session.exists() is resumable


@pytest.mark.parametrize(
    ("name", "role"), [("full", "full"), ("readonly", "readonly"), ("norole", "None")]
)
async def test_our_client_is_served_with_its_role(certificates: Path, name: str, role: str) -> None:
    async with serving(server_of(certificates)) as port:
        said = await dialled(port, client_of(certificates, name))
    assert said == f"served TLSv1.3 {SUITE} {role}"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "0:0:0:0:0:0:0:1"])
async def test_the_test_certificates_are_clean_under_strict_rules(
    certificates: Path, name: str
) -> None:
    server, client = server_of(certificates), client_of(certificates)
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    async with serving(server) as port:
        assert await dialled(port, client, name) == f"served TLSv1.3 {SUITE} full"


@pytest.mark.parametrize("name", ["example.org", "127.0.0.2", "::2", "localhost.example.org"])
async def test_a_server_of_another_name_is_refused(certificates: Path, name: str) -> None:
    async with serving(server_of(certificates)) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await dialled(port, client_of(certificates), name)


@dataclass(frozen=True)
class Other:
    """A folder with the authority of the test certificates, for one strange pair: `x`."""

    folder: Path
    authority: Pair

    def add(self, pair: Pair) -> None:
        write_pair(self.folder, "x", pair)


@pytest.fixture
def other(certificates: Path, tmp_path: Path) -> Other:
    authority = load_pair(certificates, "ca")
    write_pair(tmp_path, "ca", authority)
    return Other(tmp_path, authority)


async def test_a_name_in_the_subject_alone_is_refused(certificates: Path, other: Other) -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    other.add(issued(other.authority, "localhost", [usage], now=NOW))
    async with serving(server_of(other.folder, "x")) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await dialled(port, client_of(certificates))


def test_our_server_does_not_start_with_a_clients_certificate(certificates: Path) -> None:
    with pytest.raises(WrongUsage, match=r"full\.pem.*not for a server"):
        server_of(certificates, "full")


async def test_a_clients_certificate_is_no_servers(certificates: Path) -> None:
    impostor = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    impostor.load_cert_chain(certificates / "full.pem", certificates / "full.key")
    async with serving(impostor) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            await dialled(port, client_of(certificates))


async def test_a_server_of_another_authority_is_refused(certificates: Path, other: Other) -> None:
    same_name = new_authority(NOW, name=testset.AUTHORITY)
    assert same_name.certificate.subject == other.authority.certificate.subject
    other.add(server_certificate(same_name, ["localhost"], [], now=NOW))
    async with serving(server_of(other.folder, "x")) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
            await dialled(port, client_of(certificates))


def critical_role(authority: Pair) -> Pair:
    plain = client_certificate(authority, "x", None, now=NOW)
    certificate = plain.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(plain.key.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(ROLE_OID, encoded(Role.FULL)), critical=True)
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return Pair(builder.sign(authority.key, hashes.SHA256()), plain.key)


def of_another_authority(_: Pair) -> Pair:
    return client_certificate(new_authority(NOW), "x", Role.FULL, now=NOW)


def expired(authority: Pair) -> Pair:
    return client_certificate(authority, "x", Role.FULL, now=NOW - timedelta(days=10), days=1)


def not_valid_yet(authority: Pair) -> Pair:
    return client_certificate(authority, "x", Role.FULL, now=NOW + timedelta(days=1))


def for_servers(authority: Pair) -> Pair:
    return server_certificate(authority, ["localhost"], [], now=NOW)


@pytest.mark.parametrize(
    "certified", [critical_role, of_another_authority, expired, not_valid_yet, for_servers]
)
async def test_a_certificate_that_does_not_verify_is_refused_in_the_handshake(
    certificates: Path, other: Other, certified: Callable[[Pair], Pair]
) -> None:
    other.add(certified(other.authority))
    identity = ("-cert", other.folder / "x.pem", "-key", other.folder / "x.key")
    async with serving(server_of(certificates)) as port:
        assert "served" not in await openssl(port, *identity)
        assert "served" in await openssl(port)


def speaking(suite: str, context: ssl.SSLContext, patch: pytest.MonkeyPatch) -> ssl.SSLContext:
    with patch.context() as changed:
        changed.setattr(tls, "SUITE", suite)
        assert tls.pin_suite(context)
    return context


async def test_our_client_offers_no_other_suite(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = speaking("TLS_AES_128_GCM_SHA256", server_of(certificates), monkeypatch)
    async with serving(server) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dialled(port, client_of(certificates))


@pytest.mark.skipif(HAS_METHOD, reason="this Python can always be limited")
async def test_a_client_that_cannot_be_limited_looks_before_it_speaks(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = speaking("TLS_AES_128_GCM_SHA256", server_of(certificates), monkeypatch)
    ours = server_of(certificates)
    monkeypatch.delattr(_ssl, "__file__")  # as where Python and OpenSSL are one program
    client = client_of(certificates)
    async with serving(server) as port:
        with pytest.raises(OtherProtocol, match="TLS_AES_128_GCM_SHA256"):
            await dialled(port, client)
    async with serving(ours) as port:
        assert await dialled(port, client) == f"served TLSv1.3 {SUITE} full"


@pytest.mark.skipif(HAS_METHOD, reason="this Python can always be limited")
def test_a_server_that_cannot_be_limited_does_not_start(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(_ssl, "__file__")
    with pytest.raises(BadConfig, match=f"can't be limited to {SUITE}"):
        server_of(certificates)


async def test_a_connection_of_tls_1_2_is_refused_by_the_client(certificates: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    client = ssl.create_default_context(cafile=certificates / "ca.pem")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(server) as port:
        with pytest.raises(OtherProtocol, match=r"TLSv1\.2"):
            await dialled(port, client)
        server.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dialled(port, client_of(certificates))
