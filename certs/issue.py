"""Certificates of servers and clients, as RFC 5280 and VERIFY_X509_STRICT want them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import SKEW, Pair, key_usage, name_of
from worker.errors import BadConfig
from worker.rpc.role import ROLE_OID, Role, encoded

DAYS: Final = 365

_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
# OpenSSL doesn't take a star for a name of two labels, such as *.local.
_HOST: Final = re.compile(rf"(\*\.{_LABEL}\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)
_NUMBERS: Final = re.compile(r"[0-9.]+", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


def server_certificate(
    authority: Pair,
    names: Sequence[str],
    addresses: Sequence[IPv4Address | IPv6Address],
    *,
    now: datetime,
    days: int = DAYS,
) -> Pair:
    """For a server that is dialled by `names` (`*.example.org` also) and `addresses`.

    Raises BadConfig for what no client could dial.
    """
    if not names and not addresses:
        raise BadConfig("a server's certificate needs a name or an address that clients dial")
    for name in names:
        if not _HOST.fullmatch(name) or _NUMBERS.fullmatch(name):
            raise BadConfig(f"{name!r} is not the name of a host, such as jobs.example.org")
    dialled = x509.SubjectAlternativeName(
        [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
    )
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return issued(authority, "job-worker server", (usage, dialled), now=now, days=days)


def client_certificate(
    authority: Pair, name: str, role: Role | None, *, now: datetime, days: int = DAYS
) -> Pair:
    """For the client `name`, who may do what `role` allows; None: nothing at all.

    Raises BadConfig for a name that can't be the name of a file.
    """
    check_name(name, "a client's name")
    extensions: list[x509.ExtensionType] = [
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    ]
    if role is not None:
        extensions.append(x509.UnrecognizedExtension(ROLE_OID, encoded(role)))
    return issued(authority, name, extensions, now=now, days=days)


def check_name(name: str, what: str) -> None:
    """Raise BadConfig for one that can't be the name of files, safely."""
    if not _NAME.fullmatch(name):
        raise BadConfig(
            f"{name!r} can't be {what}: it starts with a letter or digit, goes on with "
            "those and . _ @ -, and has at most 64 of them"
        )


def issued(
    authority: Pair,
    common_name: str,
    extensions: Sequence[x509.ExtensionType],
    *,
    now: datetime,
    days: int = DAYS,
) -> Pair:
    return certified(authority, name_of(common_name), extensions, now=now, days=days)


def certified(
    authority: Pair,
    subject: x509.Name,
    extensions: Sequence[x509.ExtensionType],
    *,
    now: datetime,
    days: int = DAYS,
) -> Pair:
    """A new key and its certificate, with `extensions` beside those that every one needs.

    It ends with the authority's own where `days` would go beyond it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    signer = authority.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(min(now + timedelta(days=days), signer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_identifier(authority), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _authority_identifier(authority: Pair) -> x509.AuthorityKeyIdentifier:
    extensions = authority.certificate.extensions
    try:
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:  # an authority that was made elsewhere
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)
