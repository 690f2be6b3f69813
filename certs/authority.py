"""An authority of one's own: the key that signs, and the certificate that both ends trust."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from worker.errors import BadConfig

AUTHORITY_DAYS: Final = 3650
AUTHORITY_NAME: Final = "job-worker authority"
# What was issued just now must not be refused by a clock that is some minutes behind.
SKEW: Final = timedelta(minutes=5)
_NAME_SIZE: Final = 64  # RFC 5280, appendix A: ub-common-name


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_authority(now: datetime, *, name: str = AUTHORITY_NAME, days: int = AUTHORITY_DAYS) -> Pair:
    """One that certifies servers and clients, but no further authority.

    Raises BadConfig for a name that no certificate can bear.
    """
    if not 0 < len(name) <= _NAME_SIZE or not name.isprintable():
        raise BadConfig(f"{name!r} can't be an authority's name: 1 to {_NAME_SIZE} characters")
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(name_of(name))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*allowed: str) -> x509.KeyUsage:
    """What a key may be used for, named as `x509.KeyUsage` names it."""
    uses = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{use: use in allowed for use in uses})
