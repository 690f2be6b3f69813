"""Whatever keeps a client from its server is told as a class of its own and one sentence."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import Pair, new_authority
from certs.folder import load_pair, write_pair
from certs.issue import client_certificate, issued, server_certificate
from tests.client.scripted import client_of, server_side, serving
from tests.client.strangers import Closes, Listens, Silent, TalksHttp, listening, refused
from worker import errors
from worker.client import channel
from worker.client.diagnose import unreachable
from worker.errors import WorkerError
from worker.rpc import tls
from worker.rpc.handshake import ServerContext
from worker.rpc.role import Role
from worker.settings import Address

pytestmark = pytest.mark.every_python
NOW = datetime.now(UTC)
NOBODY = Address("127.0.0.1", 1)  # dialling it would be told as NotListening
LOCAL = [ip_address("127.0.0.1")]
Change = Callable[[Path], object]
Make = Callable[[Pair], Pair]


def check(error: WorkerError, kind: type[WorkerError], *words: str) -> None:
    assert type(error) is kind, repr(error)
    for word in words:
        assert word in str(error)


def put(make: Make, name: str = "full") -> Change:
    return lambda folder: write_pair(folder, name, make(load_pair(folder, "ca")), replace=True)


def for_client(authority: Pair, *, now: datetime = NOW, days: int = 9) -> Pair:
    return client_certificate(authority, "ada", Role.FULL, now=now, days=days)


def for_server(authority: Pair, *names: str, now: datetime = NOW, days: int = 9) -> Pair:
    return server_certificate(authority, names, [] if names else LOCAL, now=now, days=days)


def encrypt(folder: Path) -> None:
    secret = BestAvailableEncryption(b"secret")
    key = load_pair(folder, "full").key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    (folder / "full.key").write_bytes(key)


def make_loop(folder: Path) -> None:
    (folder / "full.key").unlink()
    (folder / "full.key").symlink_to("full.key")


def make_folder(folder: Path) -> None:
    (folder / "full.pem").unlink()
    (folder / "full.pem").mkdir()


def put_authority_first(folder: Path) -> None:
    file = folder / "full.pem"
    file.write_bytes((folder / "ca.pem").read_bytes() + file.read_bytes())


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        pytest.param(
            lambda folder: (folder / "full.pem").unlink(),
            errors.MissingFile,
            ["full.pem: No such file", "correct the path"],
            id="no certificate",
        ),
        pytest.param(
            lambda folder: (folder / "full.key").unlink(),
            errors.MissingFile,
            ["full.key: No such file", "correct the path"],
            id="no key",
        ),
        pytest.param(
            lambda folder: (folder / "ca.pem").unlink(),
            errors.MissingFile,
            ["ca.pem: No such file", "correct the path"],
            id="no authority",
        ),
        pytest.param(make_folder, errors.UnreadableFile, ["full.pem is not a file"], id="a folder"),
        pytest.param(
            make_loop, errors.UnreadableFile, ["full.key: ", "can read"], id="an unreadable key"
        ),
        pytest.param(
            lambda folder: (folder / "full.key").chmod(0o644),
            errors.ExposedKey,
            ["mode 0644", "chmod 600 "],
            id="a key that others can read",
        ),
        pytest.param(encrypt, errors.EncryptedKey, ["openssl pkey"], id="an encrypted key"),
        pytest.param(
            lambda folder: shutil.copy(folder / "server.key", folder / "full.key"),
            errors.WrongKey,
            ["full.key is not the key of the first certificate", "issued together"],
            id="the key of another certificate",
        ),
        pytest.param(
            put_authority_first,
            errors.WrongKey,
            ["not the key of the first certificate in "],
            id="a chain in the wrong order",
        ),
        pytest.param(
            lambda folder: (folder / "full.key").write_bytes((folder / "full.pem").read_bytes()),
            errors.BadCredentials,
            ["full.key: no PEM private key in it"],
            id="a certificate in place of the key",
        ),
        pytest.param(
            lambda folder: (folder / "ca.pem").write_text("x"),
            errors.BadCredentials,
            ["ca.pem: no PEM certificate of an authority"],
            id="an authority that is none",
        ),
        pytest.param(
            put(lambda ca: for_client(ca, now=NOW - timedelta(days=9), days=2)),
            errors.CertificateExpired,
            ["full.pem", "CN=ada", f"{NOW - timedelta(days=7):%Y-%m-%d}", "new one"],
            id="expired",
        ),
        pytest.param(
            put(lambda ca: for_client(ca, now=NOW + timedelta(days=1))),
            errors.NotYetValid,
            ["full.pem", "CN=ada", f"{NOW + timedelta(days=1):%Y-%m-%d}", "set the clock"],
            id="not valid yet",
        ),
        pytest.param(
            put(for_server), errors.WrongUsage, ["CN=job-worker server"], id="for servers alone"
        ),
        pytest.param(put(lambda ca: ca), errors.WrongUsage, ["full.pem"], id="the authority's own"),
    ],
)
async def test_what_no_server_could_accept_is_told_before_it_is_dialled(
    certificates: Path, tmp_path: Path, change: Change, kind: type[WorkerError], words: list[str]
) -> None:
    folder = shutil.copytree(certificates, tmp_path / "certificates")
    change(folder)
    check(await refused(client_of(folder, NOBODY)), kind, *words)


def showing(pair: Pair, folder: Path) -> ssl.SSLContext:
    """As a server that doesn't look at its own certificate."""
    write_pair(folder, "shown", pair)
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(folder / "shown.pem", folder / "shown.key")
    return context


def authority_below(authority: Pair) -> Pair:
    basics = x509.BasicConstraints(ca=True, path_length=None)
    made = new_authority(NOW, name="intermediate")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(made.certificate.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(made.key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(basics, critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, made.key)


def with_common_name(authority: Pair) -> Pair:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return issued(authority, "127.0.0.1", [usage], now=NOW)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        pytest.param(
            lambda ca: for_server(ca, "a.example", "*.b.example"),
            errors.OtherName,
            ["certificate is for a.example, *.b.example, you asked for 127.0.0.1"],
            id="for another name",
        ),
        pytest.param(
            with_common_name,
            errors.OtherName,
            ["is for no name at all, you asked for 127.0.0.1"],
            id="with a common name alone",
        ),
        pytest.param(
            lambda ca: for_server(ca, now=NOW - timedelta(days=9), days=2),
            errors.ServerExpired,
            ["CN=job-worker server", f"expired at {NOW - timedelta(days=7):%Y-%m-%d}", "renewed"],
            id="expired",
        ),
        pytest.param(
            lambda ca: for_server(ca, now=NOW + timedelta(days=1)),
            errors.ServerNotYetValid,
            ["isn't valid yet", "compare the clocks"],
            id="not valid yet",
        ),
        pytest.param(
            lambda _: for_server(new_authority(NOW, name="another")),
            errors.OtherAuthority,
            ["issued by CN=another", "ca.pem", "correct serverCA"],
            id="of another authority",
        ),
        pytest.param(
            lambda ca: for_server(
                new_authority(NOW, name=ca.certificate.subject.rfc4514_string().removeprefix("CN="))
            ),
            errors.OtherAuthority,
            ["ca.pem doesn't vouch for"],
            id="of an authority with the same name and another key",
        ),
        pytest.param(
            lambda ca: for_server(authority_below(ca)),
            errors.OtherAuthority,
            ["issued by CN=intermediate", "send its intermediate"],
            id="of an intermediate that isn't sent along",
        ),
        pytest.param(
            for_client,
            errors.UntrustedServer,
            ["won't do", "purpose", "correct serverAddress and serverCA"],
            id="a client's",
        ),
    ],
)
async def test_a_server_that_isnt_the_one_to_trust(
    certificates: Path, tmp_path: Path, make: Make, kind: type[WorkerError], words: list[str]
) -> None:
    context = showing(make(load_pair(certificates, "ca")), tmp_path)
    async with listening(Silent, context) as address:
        error = await refused(client_of(certificates, address))
    check(error, kind, str(address), *words)
    assert isinstance(error, errors.UntrustedServer)


async def test_without_a_second_look_the_sentence_says_less(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_address: Address) -> None:
        pass

    monkeypatch.setattr("worker.client.diagnose.shown_by", nothing)
    authority = load_pair(certificates, "ca")
    async with listening(Silent, showing(for_server(authority, "a.example"), tmp_path)) as address:
        error = await refused(client_of(certificates, address))
    check(error, errors.OtherName, "is for another name, you asked for 127.0.0.1")


@pytest.mark.parametrize("is_known", ["here", "nowhere"])
async def test_a_server_that_doesnt_know_our_authority(
    certificates: Path, tmp_path: Path, is_known: str
) -> None:
    """In TLS 1.3 the client's handshake has succeeded by then."""
    another = new_authority(NOW, name="another")
    write_pair(tmp_path, "full", for_client(another))
    authorities = tmp_path / "authorities.pem"
    shutil.copy(certificates / "ca.pem", authorities)
    if is_known == "here":
        with authorities.open("ab") as file:
            file.write(another.certificate.public_bytes(Encoding.PEM))
    async with serving(certificates) as config:
        stranger = replace(client_of(tmp_path, config.server_address), server_ca=authorities)
        error = await refused(stranger)
    words = ["CN=ada, issued by CN=another", "doesn't know that authority", "clientCA"]
    check(error, errors.CertificateRefused, *words)
    assert ("neither does " in str(error)) is (is_known == "nowhere")


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "expired by the server's clock"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "revoked"),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "not for a client"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "too weak"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants another one"),
    ],
)
async def test_an_alert_is_told_in_words(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, alert: str, words: str
) -> None:
    async def sent(*_: object, **__: object) -> None:
        error = ssl.SSLError(1, alert)
        error.reason = alert
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", sent)
    error = await refused(client_of(certificates, NOBODY))
    check(error, errors.CertificateRefused, "full.pem (CN=full, issued by ", words)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_listens(certificates: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = await refused(client_of(certificates, Address(host, port)))
    check(error, errors.NotListening, f"{host}:{port} refused", "is workerserver running there?")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            errors.UnknownHost,
            "isn't known (Name or service not known): correct serverAddress",
            id="unknown",
        ),
        pytest.param(
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure"),
            errors.Unavailable,
            "can't be looked up at the moment: check the network",
            id="no answer of the name service",
        ),
        pytest.param(
            OSError(113, "No route to host"),
            errors.Unavailable,
            "can't be reached (No route to host): check serverAddress",
            id="no route",
        ),
        pytest.param(
            TimeoutError(110, "Connection timed out"),
            errors.NoAnswer,
            "doesn't answer: check serverAddress, firewall and network",
            id="no answer",
        ),
    ],
)
def test_a_host_that_cant_be_reached(error: OSError, kind: type[WorkerError], words: str) -> None:
    check(unreachable(Address("h", 5), error), kind, f"h:5 {words}")


async def test_a_name_that_cant_be_one(certificates: Path) -> None:
    error = await refused(client_of(certificates, Address("a..b", 5000)))
    check(error, errors.UnknownHost, "a..b:5000 can't be the name of a host")


@pytest.mark.parametrize("handshake", ["before", "after"])
async def test_a_server_that_says_nothing(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, handshake: str
) -> None:
    monkeypatch.setattr(channel, "CONNECT_TIMEOUT", 0.3)
    context = server_side(certificates) if handshake == "after" else None
    async with listening(Silent, context) as address:
        error = await refused(client_of(certificates, address))
    check(error, errors.NoAnswer, f"{address} doesn't answer")


@pytest.mark.parametrize("handshake", ["before", "after"])
async def test_a_server_that_closes_the_connection(certificates: Path, handshake: str) -> None:
    context = server_side(certificates) if handshake == "after" else None
    async with listening(Closes, context) as address:
        error = await refused(client_of(certificates, address))
    check(error, errors.ConnectionLost, f"{address} closed the connection before", "its log")


async def test_a_server_that_speaks_no_tls(certificates: Path) -> None:
    async with listening(TalksHttp) as address:
        error = await refused(client_of(certificates, address))
    check(error, errors.OtherProtocol, str(address), "is it a workerserver?", "serverAddress")


async def test_a_server_that_speaks_an_older_tls(certificates: Path, tmp_path: Path) -> None:
    context = showing(for_server(load_pair(certificates, "ca")), tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(Silent, context) as address:
        error = await refused(client_of(certificates, address))
    check(error, errors.OtherProtocol, "protocol version", "is it a workerserver?")


async def test_a_server_that_speaks_no_http2(certificates: Path, tmp_path: Path) -> None:
    context = showing(for_server(load_pair(certificates, "ca")), tmp_path)
    context.set_alpn_protocols(["http/1.1"])
    async with listening(Silent, context) as address:
        error = await refused(client_of(certificates, address))
    assert isinstance(error, errors.OtherProtocol)
    assert "is it a workerserver?" in str(error)


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
    check(error, errors.OtherProtocol, other)
    assert Listens.heard == b""
