"""Bytes to a message, strictly.

betterproto takes what is cut short, field 0, and a number where a text belongs; a time that
`datetime` can't hold ends it with an OverflowError. So the wire format is walked here, by the
types that the generated classes declare. A field that they don't know is skipped: it is a newer
program's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_type_hints

import betterproto
from betterproto.lib.google.protobuf import Duration, Timestamp

from worker.rpc.wireformat import FIXED64, LENGTH, VARINT, Malformed, fields_of, varint

M = TypeVar("M", bound=betterproto.Message)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Field:
    """One that a generated class declares; `kind` is the class of a message or an enum."""

    name: str
    type: str
    kind: Any
    repeated: bool

    @property
    def name_on_wire(self) -> str:
        """What the .proto calls it: jobID for job_id."""
        first, *rest = self.name.split("_")
        return first + "".join("ID" if part == "id" else part.capitalize() for part in rest)


def decoded(kind: type[M], data: bytes) -> M:
    """Raises Malformed."""
    message = kind().parse(b"")  # which marks it as present, should it be inside another
    for name, value in _values(_fields(kind), data).items():
        setattr(message, name, value)
    return message


@cache
def _fields(kind: type[betterproto.Message]) -> Mapping[int, Field]:
    hints = get_type_hints(kind)
    known = {}
    for each in fields(kind):  # type: ignore[arg-type]  # they are dataclasses
        meta: betterproto.FieldMetadata = each.metadata["betterproto"]
        is_list = getattr(hints[each.name], "__origin__", None) is list
        inner = get_args(hints[each.name])[:1] or (hints[each.name],)
        known[meta.number] = Field(each.name, meta.proto_type, inner[0], is_list)
    return known


def _values(known: Mapping[int, Field], data: bytes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for number, wire_type, raw in fields_of(data):
        field = known.get(number)
        if field is None:
            continue
        if field.type == betterproto.TYPE_MAP:
            entry = _value(field, wire_type, raw)
            values.setdefault(field.name, {})[entry.get("key", "")] = entry.get("value", "")
        elif field.repeated:
            values.setdefault(field.name, []).extend(_items(field, wire_type, raw))
        else:
            values[field.name] = _value(field, wire_type, raw)
    return values


def _items(field: Field, wire_type: int, raw: int | bytes) -> Iterator[Any]:
    """Of a repeated field: one, or packed numbers (ours are enums: no fixed sizes)."""
    packed = wire_type == LENGTH and field.type in betterproto.WIRE_VARINT_TYPES
    if not (packed and isinstance(raw, bytes)):
        yield _value(field, wire_type, raw)
        return
    position = 0
    while position < len(raw):
        value, position = varint(raw, position)
        yield _value(field, VARINT, value)


def _value(field: Field, wire_type: int, raw: int | bytes) -> Any:
    expected, converted = _TYPES[field.type]
    if wire_type != expected:
        raise Malformed(f"{field.name_on_wire} is not of the type {field.type}")
    return converted(field, raw)


def _int32(_field: Field, raw: int) -> int:
    return (raw + 2**31) % 2**32 - 2**31


def _int64(_field: Field, raw: int) -> int:
    return (raw + 2**63) % 2**64 - 2**63


def _text(field: Field, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{field.name_on_wire} is not UTF-8") from None


def _entry(field: Field, raw: bytes) -> dict[str, Any]:
    """Of a map; all of ours are from text to text."""
    try:
        return _values(_ENTRY, raw)
    except Malformed as error:
        raise Malformed(f"{field.name_on_wire}: {error}") from None


def _message(field: Field, raw: bytes) -> betterproto.Message | datetime | timedelta:
    """Times are cut to µs; one that Python can't hold is the nearest that it can."""
    try:
        if field.kind is timedelta:
            return _span(decoded(Duration, raw))
        if field.kind is datetime:
            return _moment(_span(decoded(Timestamp, raw)))
        message: betterproto.Message = decoded(field.kind, raw)
    except Malformed as error:
        raise Malformed(f"{field.name_on_wire}: {error}") from None
    return message


def _span(value: Duration | Timestamp) -> timedelta:
    try:
        return timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError:
        return timedelta.max if value.seconds > 0 else timedelta.min


def _moment(since_1970: timedelta) -> datetime:
    try:
        return _EPOCH + since_1970
    except OverflowError:
        return _LAST if since_1970 > timedelta(0) else _FIRST


_ENTRY: Final = {
    1: Field("key", betterproto.TYPE_STRING, str, repeated=False),
    2: Field("value", betterproto.TYPE_STRING, str, repeated=False),
}
_TYPES: Final[Mapping[str, tuple[int, Callable[[Field, Any], Any]]]] = {
    betterproto.TYPE_BOOL: (VARINT, lambda _, raw: raw != 0),
    betterproto.TYPE_BYTES: (LENGTH, lambda _, raw: raw),
    betterproto.TYPE_DOUBLE: (FIXED64, lambda _, raw: struct.unpack("<d", raw)[0]),
    betterproto.TYPE_ENUM: (VARINT, lambda field, raw: field.kind.try_value(_int32(field, raw))),
    betterproto.TYPE_INT32: (VARINT, _int32),
    betterproto.TYPE_INT64: (VARINT, _int64),
    betterproto.TYPE_MAP: (LENGTH, _entry),
    betterproto.TYPE_MESSAGE: (LENGTH, _message),
    betterproto.TYPE_STRING: (LENGTH, _text),
    betterproto.TYPE_UINT32: (VARINT, lambda _, raw: raw & 0xFFFFFFFF),
    betterproto.TYPE_UINT64: (VARINT, lambda _, raw: raw),
}
