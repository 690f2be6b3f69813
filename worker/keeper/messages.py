"""What crosses the border between the keeper and whoever uses it: frames and files.

A frame is two little-endian u32, the lengths of a JSON text and of raw bytes, then both.
A job's folder holds four files:

request   a Spawn as JSON, written before anything is started
output    the bytes of all streams
index     16-byte records that say which stream wrote where, what is missing, how it ended
ended     an EndRecord as JSON, renamed into place: it is there whole or not at all

Text that isn't UTF-8 (arguments, paths, environment) is surrogate-escaped. Times are µs since
1970. Every name of a job is checked here to be a UUID, so that it is safe as a file name.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from enum import IntEnum, StrEnum
from typing import Final, TypeVar

PROTOCOL: Final = 1
FILE_VERSION: Final = 1
MAX_JSON: Final = 2 * 1024 * 1024
MAX_RAW: Final = 1024 * 1024
LENGTHS: Final = struct.Struct("<II")

RECORD: Final = struct.Struct("<QQ")  # kind << 56 | offset, value
OFFSET_BITS: Final = 56
INDEX_MAGIC: Final = int.from_bytes(b"jwindex\0", "little")
SIGNALED: Final = 0x100  # EXIT's value: the code, or SIGNALED | signal


class Kind(IntEnum):
    """Of an index record. A zero ends the index: space is reserved ahead."""

    HEADER = 1  # offset: FILE_VERSION, value: INDEX_MAGIC
    RUN_STDOUT = 2  # value: wall clock of the first byte; of several at one offset the last counts
    RUN_STDERR = 3
    RUN_MERGED = 4
    GAP_STDOUT = 5  # value: bytes missing here, updated in place
    GAP_STDERR = 6
    GAP_MERGED = 7
    EXIT = 8  # the leader's, when it was seen


class Refusal(StrEnum):
    CANNOT_EXECUTE = "cannot execute"
    NO_ROOM = "no room"
    EXISTS = "exists"
    NOT_FOUND = "not found"
    LEAVING = "leaving"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of each side; `epoch` (of the keeper) tells one keeper from the next."""

    protocol: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The server serves."""


@dataclass(frozen=True, slots=True)
class List:
    """Asks for all jobs; the keeper tells nothing before it was asked."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Answered when execve(2) has succeeded or failed. `path` is searched for the command."""

    ask: int
    job: str
    command: str
    arguments: list[str]
    environment: dict[str, str]
    path: str
    directory: str
    merged: bool
    grace_s: float
    output_cap: int
    owner: str
    labels: dict[str, str]
    created_us: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Answered when it is recorded and SIGTERM is sent. `grace_s` None: what the job asked for."""

    ask: int
    job: str
    by: str
    grace_s: float | None


@dataclass(frozen=True, slots=True)
class Tell:
    """Asks for one Grown when the output is longer than `beyond` bytes."""

    job: str
    beyond: int


@dataclass(frozen=True, slots=True)
class Leave:
    """To the keeper: end all jobs and go. To the server: drain, the keeper is going."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A job that is not final; `started_us` is None while it is starting."""

    job: str
    size: int
    started_us: int | None


@dataclass(frozen=True, slots=True)
class ListEnd:
    pass


@dataclass(frozen=True, slots=True)
class Done:
    ask: int


@dataclass(frozen=True, slots=True)
class Refused:
    ask: int
    refusal: str
    text: str


@dataclass(frozen=True, slots=True)
class Running:
    job: str
    started_us: int


@dataclass(frozen=True, slots=True)
class Grown:
    job: str
    size: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Its tree is empty, its output complete, its `ended` written: all else stands there."""

    job: str


@dataclass(frozen=True, slots=True)
class EndRecord:
    """The file `ended`. `code` or `signal`, never both; `cause` is a value of state.Cause."""

    code: int | None
    signal: int | None
    cause: str
    stopped_by: str | None
    reason: str
    started_us: int
    leader_exited_us: int
    ended_us: int
    stdout: int
    stderr: int
    merged: int
    dropped: int


Message = (
    Hello
    | Ready
    | List
    | Spawn
    | Stop
    | Tell
    | Leave
    | Listed
    | ListEnd
    | Done
    | Refused
    | Running
    | Grown
    | Ended
)
T = TypeVar("T")

CLASSES: Final[dict[str, type[Message]]] = {
    kind.__name__: kind
    for kind in (
        *(Hello, Ready, List, Spawn, Stop, Tell, Leave),
        *(Listed, ListEnd, Done, Refused, Running, Grown, Ended),
    )
}

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
    "dict[str, str]": lambda value: (
        isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))
    ),
}


class BadFrame(Exception):
    """The other side sent what no version of this protocol sends."""


def checked(kind: type[T], values: object) -> T:
    """`values` as a `kind`. Raises BadFrame unless every field is there and of its type."""
    if not isinstance(values, dict):
        raise BadFrame(f"{kind.__name__}: not an object")
    expected = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if values.keys() != expected.keys():
        raise BadFrame(f"{kind.__name__}: fields {sorted(values)}")
    for name, type_name in expected.items():
        if not _FITS[type_name](values[name]):
            raise BadFrame(f"{kind.__name__}.{name}: not {type_name}")
    if "job" in expected and not _JOB.fullmatch(values["job"]):
        raise BadFrame(f"{kind.__name__}.job: not a UUID")
    return kind(**values)


def to_json(value: object) -> bytes:
    """Of a message or a record; ASCII, so that lone surrogates survive."""
    return json.dumps(asdict(value), separators=(",", ":")).encode()  # type: ignore[call-overload]  # a dataclass


def encode(message: Message, raw: bytes = b"") -> bytes:
    """One frame. Raises BadFrame for one that the other side would refuse."""
    values = {"kind": type(message).__name__, **asdict(message)}
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
