"""The fields of a message, taken from its bytes without knowing its kind.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5
_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_VARINT_BYTES: Final = 10
_MORE: Final = 0x80  # the bit of a byte that says: another follows
_64_BITS: Final = 2**64 - 1
_MAX_NUMBER: Final = 2**29 - 1


class Malformed(Exception):
    """Bytes that are no message, or not one of that kind; names the field where it is known."""


def fields_of(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The number, wire type and raw value of each field."""
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= _MAX_NUMBER:
            raise Malformed(f"{number} can't be the number of a field")
        if wire_type == VARINT:
            value, position = varint(data, position)
            yield number, wire_type, value
            continue
        if wire_type == LENGTH:
            size, position = varint(data, position)
        elif wire_type in _SIZES:
            size = _SIZES[wire_type]
        else:
            raise Malformed(f"field {number} has the unknown wire type {wire_type}")
        if size > len(data) - position:
            raise Malformed(f"field {number} is cut short")
        yield number, wire_type, data[position : position + size]
        position += size


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and the position behind it."""
    value = 0
    for index in range(_VARINT_BYTES):
        if position + index >= len(data):
            raise Malformed("the message is cut short")
        byte = data[position + index]
        value |= (byte % _MORE) << 7 * index
        if byte < _MORE:
            return value & _64_BITS, position + index + 1
    raise Malformed("a number is longer than ten bytes")
