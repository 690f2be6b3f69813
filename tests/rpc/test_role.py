from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Pair, new_authority
from certs.folder import load_certificate
from certs.issue import issued
from worker.rpc.role import ROLE_OID, NoRole, Role, encoded, read_role

NOW = datetime.now(UTC)
FULL = b"\x0c\x04full"
READONLY = b"\x0c\x08readonly"


@pytest.fixture(scope="module")
def authority() -> Pair:
    return new_authority(NOW)


def role_of(certificate_der: bytes) -> Role | None:
    """None: it has none, and the reading says why."""
    try:
        return read_role(certificate_der)
    except NoRole:
        return None


def der(pair: Pair) -> bytes:
    return pair.certificate.public_bytes(Encoding.DER)


def with_role(authority: Pair, value: bytes) -> bytes:
    return der(issued(authority, "x", [x509.UnrecognizedExtension(ROLE_OID, value)], now=NOW))


@pytest.mark.parametrize(
    ("value", "role"),
    [
        pytest.param(FULL, Role.FULL, id="full"),
        pytest.param(READONLY, Role.READONLY, id="readonly"),
        pytest.param(b"\x0c\x04Full", None, id="another case"),
        pytest.param(b"\x0c\x08ReadOnly", None, id="another case of readonly"),
        pytest.param(b"\x0c\x05full ", None, id="a space behind"),
        pytest.param(b"\x0c\x05 full", None, id="a space before"),
        pytest.param(b"\x0c\x05full\n", None, id="a line feed"),
        pytest.param(b"\x0c\x05full\0", None, id="a NUL"),
        pytest.param(b"\x0c\x07full\0xx", None, id="text behind a NUL"),
        pytest.param(FULL + b"\0", None, id="a trailing byte"),
        pytest.param(FULL + FULL, None, id="a second string behind"),
        pytest.param(b"\x0c\x81\x04full", None, id="the length in its long form"),
        pytest.param(b"\x0c\x05full", None, id="a length beyond the end"),
        pytest.param(b"\x0c\x03full", None, id="a length before the end"),
        pytest.param(b"\x13\x04full", None, id="PrintableString"),
        pytest.param(b"\x16\x04full", None, id="IA5String"),
        pytest.param(b"\x04\x04full", None, id="OctetString"),
        pytest.param(b"\x2c\x06" + FULL, None, id="UTF8String in pieces"),
        pytest.param(b"\x30\x06" + FULL, None, id="a list of one"),
        pytest.param(b"\x30\x10" + READONLY + FULL, None, id="a list of two"),
        pytest.param(b"full", None, id="raw text without DER"),
        pytest.param(b"\x0c\x00", None, id="an empty string"),
        pytest.param(b"\x0c\x05admin", None, id="an unknown role"),
        pytest.param(b"\x0c\x0dfull,readonly", None, id="two roles in one string"),
        pytest.param("\x0c\x07fu\u017fll".encode(), None, id="a letter that looks alike"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_the_role_is_exact_to_the_byte(authority: Pair, value: bytes, role: Role | None) -> None:
    assert role_of(with_role(authority, value)) is role


@pytest.mark.parametrize("role", Role)
def test_what_is_written_is_what_is_read(authority: Pair, role: Role) -> None:
    assert role_of(with_role(authority, encoded(role))) is role


@pytest.mark.parametrize(
    "oid",
    [
        pytest.param("1.2.840.10070.8", id="a shorter one"),
        pytest.param("1.2.840.10070.8.2", id="its neighbour"),
        pytest.param("1.2.840.10070.8.1.1", id="a longer one"),
    ],
)
def test_a_role_under_another_oid_is_none(authority: Pair, oid: str) -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), FULL)
    assert role_of(der(issued(authority, "x", [extension], now=NOW))) is None


@pytest.mark.parametrize("second", [FULL, READONLY], ids=["the same", "another"])
def test_a_role_given_twice_is_none(authority: Pair, second: bytes) -> None:
    neighbour = x509.ObjectIdentifier("1.2.840.10070.8.2")
    extensions = [
        x509.UnrecognizedExtension(ROLE_OID, FULL),
        x509.UnrecognizedExtension(neighbour, second),
    ]
    once = der(issued(authority, "x", extensions, now=NOW))
    assert role_of(once) is Role.FULL
    # The builder writes none twice, so the neighbour is renamed: its last byte makes the OID.
    name = bytes.fromhex("2a8648ce560802")
    assert once.count(name) == 1
    assert role_of(once.replace(name, name[:-1] + b"\x01")) is None


def test_a_critical_role_is_read(authority: Pair) -> None:
    """OpenSSL refuses it in the handshake; for those who don't, it says the same."""
    signer = authority.certificate
    certificate = (
        x509.CertificateBuilder()
        .subject_name(signer.subject)
        .issuer_name(signer.subject)
        .public_key(authority.key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(signer.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(ROLE_OID, FULL), critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    assert role_of(certificate.public_bytes(Encoding.DER)) is Role.FULL


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("full", Role.FULL),
        ("readonly", Role.READONLY),
        ("norole", None),
        ("server", None),
        ("ca", None),
    ],
)
def test_roles_of_the_test_certificates(certificates: Path, name: str, role: Role | None) -> None:
    certificate = load_certificate(certificates / f"{name}.pem")
    assert role_of(certificate.public_bytes(Encoding.DER)) is role


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        pytest.param("1.3.6.1.5.5.7.1.24", "3003020125", id="an unknown TLS feature"),
        pytest.param("2.5.29.17", "3003a30100", id="an unsupported general name"),
        pytest.param("2.5.29.17", "ff", id="alternative names that aren't DER"),
        pytest.param(
            "2.5.29.46",
            "30173015a013a011a40f300d310b3009060355040303020078",
            id="a name in bits at a distribution point",
        ),
    ],
)
def test_a_certificate_that_cannot_be_read_has_no_role(
    authority: Pair, oid: str, value: str
) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(value))
    full = x509.UnrecognizedExtension(ROLE_OID, FULL)
    assert role_of(der(issued(authority, "x", [full, strange], now=NOW))) is None


@pytest.mark.parametrize("data", [b"", b"\0", b"\x30\x80", b"full", FULL, b"\x30" * 65536])
def test_bytes_that_are_no_certificate_have_no_role(data: bytes) -> None:
    assert role_of(data) is None


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # cryptography's, on what is barely legal
def test_no_damage_raises_or_makes_another_role(authority: Pair) -> None:
    chance = random.Random(9)
    intact = with_role(authority, READONLY)
    for _ in range(5000):
        damaged = bytearray(intact)
        for _ in range(chance.choice((1, 2, 5))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        assert role_of(bytes(damaged)) in (Role.READONLY, None)
    for size in range(len(intact)):
        assert role_of(intact[:size]) is None
