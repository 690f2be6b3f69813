"""A job's index: which stream wrote where, what is missing, how the leader exited.

It is written ahead: the record of a byte stands before the byte. So whoever needs both looks
at the size of `output` first, then here; the other way round a byte could lack its record.
Nothing is kept between two looks: zeros become records, and the count of a gap grows in place.
A day of a talkative job is 100 MB of index; so it is searched by halves, and read in pieces.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from worker.keeper.records import FILE_VERSION, INDEX_MAGIC, OFFSET_BITS, RECORD, Kind
from worker.state import Stream

FIRST: Final = 1  # record 0 is the header
STREAM: Final = {
    Kind.RUN_STDOUT: Stream.STDOUT,
    Kind.RUN_STDERR: Stream.STDERR,
    Kind.RUN_MERGED: Stream.MERGED,
}
GAPS: Final = frozenset({Kind.GAP_STDOUT, Kind.GAP_STDERR, Kind.GAP_MERGED})
_OFFSET: Final = (1 << OFFSET_BITS) - 1
_PIECE: Final = 256 * RECORD.size
_KINDS: Final = {int(kind): kind for kind in Kind}


class Record(NamedTuple):  # made by the million: a third of the time of a frozen dataclass
    kind: Kind
    offset: int
    value: int


class Index:
    """The records of one job by number. A file that is missing or torn has none."""

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        with suppress(FileNotFoundError, NotADirectoryError):
            self._file = os.open(folder / "index", os.O_RDONLY | os.O_CLOEXEC)
        header = self.record(0)
        if header != Record(Kind.HEADER, FILE_VERSION, INDEX_MAGIC):
            self.close()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def record(self, number: int) -> Record | None:
        return next(_parsed(self._read(number, RECORD.size)), None)

    def value_of(self, number: int) -> int:
        record = self.record(number)
        return 0 if record is None else record.value

    def records(self, number: int) -> Iterator[Record]:
        """From `number` on, as far as they are written."""
        while True:
            count = 0
            for count, record in enumerate(_parsed(self._read(number, _PIECE)), 1):  # noqa: B007 - used below
                yield record
            if count * RECORD.size < _PIECE:
                return
            number += count

    def first_at(self, offset: int) -> int:
        """The number of the first record at `offset` or beyond it."""
        if self._file is None:
            return FIRST
        count = os.fstat(self._file).st_size // RECORD.size
        return bisect_left(range(count), offset, lo=min(FIRST, count), key=self._offset_of)

    def run_before(self, number: int) -> Record | None:
        """The run that lasts when record `number` is met."""
        for earlier in range(number - 1, 0, -1):  # a few: only gaps and the exit stand between
            record = self.record(earlier)
            if record is not None and record.kind in STREAM:
                return record
        return None

    def runs_backwards(self) -> Iterator[Record]:
        """The last first."""
        if self._file is None:
            return
        end = os.fstat(self._file).st_size // RECORD.size
        while end > FIRST:
            start = max(FIRST, end - _PIECE // RECORD.size)
            records = list(_parsed(self._read(start, (end - start) * RECORD.size)))
            yield from (record for record in reversed(records) if record.kind in STREAM)
            end = start

    def _offset_of(self, number: int) -> int:
        record = self.record(number)
        if record is None:
            return _OFFSET  # reserved, not written yet
        return self._offset_of(number - 1) if record.kind is Kind.EXIT else record.offset

    def _read(self, number: int, size: int) -> bytes:
        return b"" if self._file is None else os.pread(self._file, size, number * RECORD.size)


class Gaps:
    """How much is missing in the gaps that were passed; the last of each stream may still grow."""

    def __init__(self) -> None:
        self._last: dict[Kind, int] = {}  # by number
        self._settled = 0

    def add(self, index: Index, kind: Kind, number: int) -> None:
        if kind in self._last:
            self._settled += index.value_of(self._last[kind])
        self._last[kind] = number

    def missing(self, index: Index) -> int:
        return self._settled + sum(map(index.value_of, self._last.values()))


def _parsed(data: bytes) -> Iterator[Record]:
    whole = len(data) - len(data) % RECORD.size
    for head, value in RECORD.iter_unpack(data[:whole]):
        kind = _KINDS.get(head >> OFFSET_BITS)
        if kind is None:  # zero: the end
            return
        yield Record(kind, head & _OFFSET, value)
