"""The role that a client's certificate bears: one extension, written in exactly one way.

`certs` writes it and the server reads it. Whatever differs by a byte (another case, a space,
another string type, a longer form of the length) is no role, so that no two readers can
disagree on what a certificate allows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from cryptography import x509

ROLE_OID: Final = x509.ObjectIdentifier("1.2.840.10070.8.1")
_UTF8_STRING: Final = 0x0C  # the DER tag


class Role(StrEnum):
    READONLY = "readonly"
    FULL = "full"


def encoded(role: Role) -> bytes:
    """`role` as a DER UTF8String: the value of the extension."""
    text = role.value.encode()
    return bytes((_UTF8_STRING, len(text))) + text  # short form: no role is 128 bytes long


_ROLES: Final = {encoded(role): role for role in Role}

# cryptography reads all extensions at once and names no set of errors; a TLS feature that it
# doesn't know is a KeyError, a distribution point of the wrong string type a TypeError.
_UNREADABLE: Final = (
    LookupError,
    TypeError,
    ValueError,
    x509.DuplicateExtension,  # of any kind, so also a role given twice
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def role_of(certificate_der: bytes) -> Role | None:
    """The role of a certificate that the handshake has verified; None for any other bytes.

    A certificate that can't be read here although OpenSSL took it has no role: an unread
    extension must not be one that allows something.
    """
    try:
        extensions = x509.load_der_x509_certificate(certificate_der).extensions
    except _UNREADABLE:
        return None
    for extension in extensions:
        if extension.oid == ROLE_OID and isinstance(extension.value, x509.UnrecognizedExtension):
            return _ROLES.get(extension.value.value)
    return None
