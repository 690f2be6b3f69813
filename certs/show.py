"""What a certificate says, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from worker.errors import BadConfig
from worker.rpc.expiry import days_left
from worker.rpc.names import names_of
from worker.rpc.role import UNREADABLE, NoRole, read_role

_USES: Final = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "clients",
    ExtendedKeyUsageOID.SERVER_AUTH: "servers",
}
_ROLE_COLUMN: Final = 10


def shown(path: Path, certificate: x509.Certificate, now: datetime) -> str:
    """Some lines of text. Raises BadConfig for one with an extension that can't be read."""
    try:
        lines = [f"  {name:<{_ROLE_COLUMN}}{value}" for name, value in _facts(certificate, now)]
    except UNREADABLE as error:
        raise BadConfig(f"{path}: a certificate that can't be read: {error}") from error
    return "\n".join([f"{path}", *map(_printable, lines)])


def _facts(certificate: x509.Certificate, now: datetime) -> Iterator[tuple[str, str]]:
    yield "subject", certificate.subject.rfc4514_string()
    yield "issuer", certificate.issuer.rfc4514_string()
    use = use_of(certificate)
    yield "for", use
    if names := names_of(certificate):
        yield "names", ", ".join(names)
    if use not in ("authority", "servers"):
        yield "role", _role(certificate)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    yield "valid", f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    yield "days left", _days(first, last, now)
    yield "sha256", certificate.fingerprint(hashes.SHA256()).hex(":")


def use_of(certificate: x509.Certificate) -> str:
    """`authority`, `clients`, `servers`, several, or `any`."""
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "authority"
    except x509.ExtensionNotFound:
        pass
    try:
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "any"
    return ", ".join(_USES.get(use, use.dotted_string) for use in uses)


def _role(certificate: x509.Certificate) -> str:
    try:
        return read_role(certificate.public_bytes(Encoding.DER))
    except NoRole as reason:
        return f"none: {reason}"


def _days(first: datetime, last: datetime, now: datetime) -> str:
    left = days_left(last, now)
    if left < 0:
        return f"none: expired at {last:%Y-%m-%d %H:%M} UTC"
    return f"{left}, not valid yet" if now < first else f"{left}"


def _printable(line: str) -> str:
    """Nothing in a name may reach the terminal as a command to it."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in line)
