"""The names in a certificate, in words, also where OpenSSL takes one that can't be read here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509

from worker.rpc.role import UNREADABLE

_SHORT: Final = {"commonName": "CN", "organizationName": "O", "countryName": "C"}
SHOWN: Final = 5  # names of a certificate that may have hundreds


def subject_of(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string() or "no subject"
    except UNREADABLE:
        return "its subject can't be read"


def subject_in(described: Mapping[str, Any]) -> str:
    """Of a certificate as `ssl` describes it."""
    parts = (pair for part in described["subject"] for pair in part)
    return ",".join(f"{_SHORT.get(kind, kind)}={value}" for kind, value in parts) or "no subject"


def issuer_of(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string() or "nobody"
    except UNREADABLE:
        return "an authority whose name can't be read"


def names_of(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that a server is dialled by.

    A common name alone is none: nobody looks at it.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    return [
        *found.get_values_for_type(x509.DNSName),
        *map(str, found.get_values_for_type(x509.IPAddress)),
    ]


def names_in(certificate: x509.Certificate) -> str:
    """Those, within a sentence."""
    names = names_of(certificate)
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more]) or "no name at all"
