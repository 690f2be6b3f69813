"""Messages as frames: two little-endian u32, the lengths of JSON and of raw bytes, then both.

Whatever arrives is judged here, lengths first, then the type of each field; a name of a job must
be a UUID, so that it is safe as a file name. Text that isn't UTF-8 is surrogate-escaped.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Final, TypeVar

from worker.keeper.messages import CLASSES, Message

MAX_JSON: Final = 2 * 1024 * 1024
MAX_RAW: Final = 1024 * 1024
LENGTHS: Final = struct.Struct("<II")
T = TypeVar("T")

_JOB: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_int(value)


_FITS: Final[dict[str, Callable[[object], bool]]] = {
    "str": _is_text,
    "int": _is_int,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "str | None": lambda value: value is None or _is_text(value),
    "int | None": lambda value: value is None or _is_int(value),
    "float | None": lambda value: value is None or _is_number(value),
    "list[str]": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "list[int]": lambda value: isinstance(value, list) and all(map(_is_int, value)),
    "dict[str, str]": lambda value: (
        isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))
    ),
}


class BadFrame(Exception):
    """The other side sent what no version of this protocol sends."""


def checked(kind: type[T], values: object, *, is_file: bool = False) -> T:
    """`values` as a `kind`. Raises BadFrame unless every field is there and of its type.

    In a file, which an older version may have written, one that has a default may be absent.
    """
    if not isinstance(values, dict):
        raise BadFrame(f"{kind.__name__}: not an object")
    expected = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    optional = {field.name for field in fields(kind) if _has_default(field)}  # type: ignore[arg-type]  # a dataclass
    absent = expected.keys() - values.keys()
    if values.keys() - expected.keys() or absent - (optional if is_file else set()):
        raise BadFrame(f"{kind.__name__}: fields {sorted(values)}")
    for name, type_name in expected.items():
        if name not in absent and not _FITS[type_name](values[name]):
            raise BadFrame(f"{kind.__name__}.{name}: not {type_name}")
    if "job" in expected and not _JOB.fullmatch(values["job"]):
        raise BadFrame(f"{kind.__name__}.job: not a UUID")
    return kind(**values)


def _has_default(field: Field[object]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def values_of(value: object) -> dict[str, object]:
    """By field, of a message or a record: not copied, which is what takes long in asdict."""
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]  # a dataclass


def to_json(value: object) -> bytes:
    """Of a message or a record; ASCII, so that lone surrogates survive."""
    return json.dumps(values_of(value), separators=(",", ":")).encode()


def encode(message: Message, raw: bytes = b"") -> bytes:
    """One frame. Raises BadFrame for one that the other side would refuse."""
    values = {"kind": type(message).__name__, **values_of(message)}
    text = json.dumps(values, separators=(",", ":")).encode()
    if len(text) > MAX_JSON or len(raw) > MAX_RAW:
        raise BadFrame(f"{type(message).__name__}: too long")
    return LENGTHS.pack(len(text), len(raw)) + text + raw


class Frames:
    """The frames of a byte stream that arrives in pieces."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Message, bytes]]:
        """The frames that `data` completes. Raises BadFrame; lengths are judged first."""
        self._bytes += data
        while len(self._bytes) >= LENGTHS.size:
            text_size, raw_size = LENGTHS.unpack_from(self._bytes)
            if text_size > MAX_JSON or raw_size > MAX_RAW:
                raise BadFrame(f"lengths {text_size} and {raw_size}")
            middle = LENGTHS.size + text_size
            end = middle + raw_size
            if len(self._bytes) < end:
                return
            text, raw = bytes(self._bytes[LENGTHS.size : middle]), bytes(self._bytes[middle:end])
            del self._bytes[:end]
            yield parsed(text), raw


def parsed(text: bytes) -> Message:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise BadFrame(f"not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("kind") not in CLASSES:
        raise BadFrame("unknown kind of message")
    return checked(CLASSES[values.pop("kind")], values)
