"""What a certificate may be used for, where it says so itself: OpenSSL asks only the other side."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from worker.errors import WrongUsage
from worker.rpc.names import subject_of
from worker.rpc.role import UNREADABLE

Values = dict[x509.ObjectIdentifier, x509.ExtensionType]


class Purpose(Enum):
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    SERVER = ExtendedKeyUsageOID.SERVER_AUTH


def check_usage(path: Path, purpose: Purpose) -> None:
    """Raise WrongUsage where the first certificate names its uses, and `purpose` isn't one."""
    try:
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
        values = {each.oid: each.value for each in leaf.extensions}
    except UNREADABLE:
        return  # by us; the other side will say what it thinks of it
    if not (_may_be(purpose, values) and _may_sign(values)):
        name = purpose.name.lower()
        raise WrongUsage(
            f"{path}: the certificate ({subject_of(leaf)}) is not for a {name} by its usage:"
            f" have one issued for a {name}, with `workercerts {name}`"
        )


def _may_be(purpose: Purpose, values: Values) -> bool:
    uses = values.get(x509.ExtendedKeyUsage.oid)
    if not isinstance(uses, x509.ExtendedKeyUsage):
        return True
    return not {purpose.value, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}.isdisjoint(uses)


def _may_sign(values: Values) -> bool:
    """Sign the handshake, that is; OpenSSL takes key agreement for it, too."""
    usage = values.get(x509.KeyUsage.oid)
    if not isinstance(usage, x509.KeyUsage):
        return True
    return usage.digital_signature or usage.key_agreement
