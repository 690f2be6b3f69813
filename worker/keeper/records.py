"""The files of a job's folder, as the keeper writes them and everybody else reads them.

request   a Spawn as JSON, written before anything is started
output    the bytes of all streams
index     16-byte records that say which stream wrote where, what is missing, how it ended
ended     an EndRecord as JSON, renamed into place: it is there whole or not at all

Text that isn't UTF-8 (arguments, paths, environment) is surrogate-escaped. Times are µs since
1970. `request` and `ended` are objects with their "version" and their "content".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

FILE_VERSION: Final = 1
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
    user_us: int | None = None  # CPU time of the whole tree
    system_us: int | None = None
    peak_memory: int | None = None
