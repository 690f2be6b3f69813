"""As much of DER (X.690) as it takes to change a certificate and sign it again."""

import base64
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import Pair

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, UTF8_STRING = 0x01, 0x02, 0x03, 0x04, 0x0C
SEQUENCE, SET, VERSION, EXTENSIONS = 0x30, 0x31, 0xA0, 0xA3
COMMON_NAME = bytes.fromhex("0603550403")
ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
ROLE = bytes.fromhex("06072a8648ce560801")
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_WITH_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
DIGESTS: dict[bytes, hashes.HashAlgorithm] = {
    ECDSA_WITH_SHA256: hashes.SHA256(),
    ECDSA_WITH_SHA1: hashes.SHA1(),
}

# Where each field stands in a certificate that has no optional one but version and extensions.
VERSION_AT, SERIAL_AT, ALGORITHM_AT, SUBJECT_AT, KEY_AT, EXTENSIONS_AT = 0, 1, 2, 5, 6, 7


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def parts_of(constructed: bytes) -> list[bytes]:
    start, end = content_of(constructed)
    found = []
    while start < end:
        _, next_start = content_of(constructed[start:end])
        found.append(constructed[start : start + next_start])
        start += next_start
    return found


def content_of(data: bytes) -> tuple[int, int]:
    """Where the content of its first element starts and ends."""
    if data[1] < 0x80:
        return 2, 2 + data[1]
    start = 2 + (data[1] & 0x7F)
    return start, start + int.from_bytes(data[2:start], "big")


def extension(number: bytes, value: bytes, *, critical: bool = False) -> bytes:
    mark = [element(BOOLEAN, b"\xff")] if critical else []
    return element(SEQUENCE, number, *mark, element(OCTET_STRING, value))


def extensions_in(fields: list[bytes]) -> list[bytes]:
    (listed,) = parts_of(fields[EXTENSIONS_AT])
    return parts_of(listed)


def extensions_field(extensions: Iterable[bytes]) -> bytes:
    return element(EXTENSIONS, element(SEQUENCE, *extensions))


def signed(authority: Pair, fields: list[bytes]) -> bytes:
    """The certificate with `fields`, by the algorithm that they name, in PEM."""
    algorithm = next(each for each in fields if each in DIGESTS)
    body = element(SEQUENCE, *fields)
    signature = authority.key.sign(body, ec.ECDSA(DIGESTS[algorithm]))
    whole = element(SEQUENCE, body, algorithm, element(BIT_STRING, b"\0", signature))
    lines = base64.encodebytes(whole)
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"
