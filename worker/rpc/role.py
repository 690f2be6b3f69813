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
_SHOWN: Final = 32  # bytes of a value that is no role


class Role(StrEnum):
    READONLY = "readonly"
    FULL = "full"


def encoded(role: Role) -> bytes:
    """`role` as a DER UTF8String: the value of the extension."""
    text = role.value.encode()
    return bytes((_UTF8_STRING, len(text))) + text  # short form: no role is 128 bytes long


_ROLES: Final = {encoded(role): role for role in Role}

# cryptography reads all extensions at once and names no set of errors: a TLS feature that it
# doesn't know is a KeyError, a string of the wrong type in a name a TypeError.
UNREADABLE: Final = (
    LookupError,
    TypeError,
    ValueError,
    x509.DuplicateExtension,  # of any kind, so also a role given twice
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class NoRole(Exception):
    """Why a certificate bears none, as the end of a sentence that has named it."""


def read_role(certificate_der: bytes) -> Role:
    """Of a certificate that the handshake has verified. Raises NoRole, and nothing else.

    A certificate that can't be read here although OpenSSL took it has no role: an unread
    extension must not be one that allows something.
    """
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        extensions = list(certificate.extensions)
    except UNREADABLE as error:
        raise NoRole(f"it can't be read here ({error})") from None
    if certificate.version is not x509.Version.v3:
        raise NoRole("it is of X.509 version 1, which has no extensions")
    values = {each.oid: each.value for each in extensions}
    basics = values.get(x509.BasicConstraints.oid)
    if isinstance(basics, x509.BasicConstraints) and basics.ca:
        raise NoRole("it is an authority's, and not a client's")
    extension = values.get(ROLE_OID)
    if not isinstance(extension, x509.UnrecognizedExtension):
        raise NoRole(f"it lacks the extension {ROLE_OID.dotted_string}")
    if extension.value not in _ROLES:
        raise NoRole(
            f"its extension {ROLE_OID.dotted_string} holds {extension.value[:_SHOWN]!r},"
            f" which is none of {', '.join(map(repr, _ROLES))}"
        )
    return _ROLES[extension.value]
