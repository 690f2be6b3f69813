"""Client certificates of every kind, most of them not as `workercerts` makes them.

What cryptography won't make (version 1, SHA-1, an extension twice) is put together from the DER
of one that it has made, and signed again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import SKEW, Pair, key_usage, name_of
from certs.issue import client_certificate, issued
from tests.e2e import der
from worker.rpc.role import ROLE_OID, Role, encoded

FULL, READONLY = encoded(Role.FULL), encoded(Role.READONLY)
FOR_CLIENTS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Shown:
    """What a client presents, in PEM."""

    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Trusted:
    """The server's authorities; `above` may certify further ones."""

    direct: Pair
    above: Pair


Make = Callable[[Trusted], Shown]
Change = Callable[[list[bytes]], list[bytes]]


def shown(pair: Pair, *above: Pair) -> Shown:
    chain = [each.certificate.public_bytes(Encoding.PEM) for each in (pair, *above)]
    return Shown(b"".join(chain), pem(pair.key))


def pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def full(authority: Pair, *, since: timedelta = timedelta(0), days: int = 9) -> Pair:
    now = datetime.now(UTC) + since
    return client_certificate(authority, "ada", Role.FULL, now=now, days=days)


def authority(
    name: str, above: Pair | None = None, *, path_length: int = 0, role: bytes | None = None
) -> Pair:
    """One that could pass for a client's: its usage isn't limited."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(above.certificate.subject if above else name_of(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage("key_cert_sign", "digital_signature"), critical=True)
    )
    if role is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(ROLE_OID, role), critical=False)
    return Pair(builder.sign(above.key if above else key, hashes.SHA256()), key)


def with_extensions(*extensions: x509.ExtensionType) -> Make:
    return lambda trusted: shown(
        issued(trusted.direct, "ada", extensions, now=datetime.now(UTC), days=9)
    )


def with_role(value: bytes) -> Make:
    return with_extensions(FOR_CLIENTS, x509.UnrecognizedExtension(ROLE_OID, value))


def with_fields(change: Change) -> Make:
    """The role is full before the change."""

    def make(trusted: Trusted) -> Shown:
        pair = full(trusted.direct)
        fields = change(der.parts_of(pair.certificate.tbs_certificate_bytes))
        return Shown(der.signed(trusted.direct, fields), pem(pair.key))

    return make


def with_field(at: int, value: bytes) -> Make:
    return with_fields(lambda fields: [*fields[:at], value, *fields[at + 1 :]])


def with_common_name(value: bytes) -> Make:
    attribute = der.element(der.SEQUENCE, der.COMMON_NAME, value)
    return with_field(der.SUBJECT_AT, der.element(der.SEQUENCE, der.element(der.SET, attribute)))


def with_more(*extensions: bytes) -> Make:
    return with_fields(
        lambda fields: [
            *fields[: der.EXTENSIONS_AT],
            der.extensions_field([*der.extensions_in(fields), *extensions]),
        ]
    )


def with_critical_role(trusted: Trusted) -> Shown:
    return with_fields(
        lambda fields: [
            *fields[: der.EXTENSIONS_AT],
            der.extensions_field(
                [
                    *(each for each in der.extensions_in(fields) if der.ROLE not in each),
                    der.extension(der.ROLE, FULL, critical=True),
                ]
            ),
        ]
    )(trusted)


def with_key(generated: Callable[[], rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey]) -> Make:
    """In place of the elliptic curve's."""

    def make(trusted: Trusted) -> Shown:
        key = generated()
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return Shown(with_field(der.KEY_AT, public)(trusted).chain, pem(key))

    return make


def rsa_key(bits: int) -> Callable[[], rsa.RSAPrivateKey]:
    return lambda: rsa.generate_private_key(65537, bits)


def through_an_intermediate(*, sent: bool = True) -> Make:
    def make(trusted: Trusted) -> Shown:
        between = authority("between", trusted.above)
        return shown(full(between), *((between,) if sent else ()))

    return make


def role_in_the_intermediate_alone(trusted: Trusted) -> Shown:
    between = authority("between", trusted.above, role=FULL)
    return shown(client_certificate(between, "ada", None, now=datetime.now(UTC), days=9), between)
