"""Reads a job's output: two files and a position. Nothing is kept for it anywhere.

The files are open only during a read: who has stopped listening holds no descriptor.

Chunks end where something is missing; tagged ones, and those of one stream, also where another
run begins. What was dropped is told with the next byte, or alone at the very end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from worker.jobs.clock import utc
from worker.jobs.folder import output_size
from worker.jobs.index import FIRST, GAPS, STREAM, Gaps, Index, Record
from worker.keeper.records import Kind
from worker.selection import EVERYTHING, Selection
from worker.state import Chunk, Stream

MAX_CHUNK: Final = 64 * 1024  # what a watcher that doesn't read keeps in memory, twice
MAX_RECORDS: Final = 2048  # passed in one turn of the loop, some ms
GAPS_OF: Final[Mapping[Stream, frozenset[Kind]]] = {
    Stream.ALL: GAPS,
    Stream.STDOUT: frozenset({Kind.GAP_STDOUT}),
    Stream.STDERR: frozenset({Kind.GAP_STDERR}),
}


class OutputReader:
    """Reads what there is from `offset` on, chunk by chunk.

    Its methods raise OSError where a file can't be opened; a job that never started has none.
    """

    def __init__(self, folder: Path, selection: Selection = EVERYTHING) -> None:
        self.offset = selection.offset
        self._tagged = selection.tagged
        self._stream = None if selection.stream is Stream.ALL else selection.stream
        self._gap_kinds = GAPS_OF[selection.stream]
        self._folder = folder
        self._next = 0  # the first record that isn't passed yet; the header: not placed yet
        self._run: Record | None = None
        self._passed = 0  # bytes of other streams since the last chunk
        self._gaps = Gaps()
        self._told = 0  # of what is missing in them

    @property
    def _minds_runs(self) -> bool:
        return self._tagged or self._stream is not None

    @property
    def size(self) -> int:
        """What could be read at this moment, from byte 0 on."""
        return output_size(self._folder)

    def read(self) -> Chunk | None:
        """The next chunk; None at the end of what is there.

        An empty one only tells how far it has come: much of other streams was passed over.
        """
        size = self.size  # before the index: see there
        if self.offset >= size:
            return None
        with closing(Index(self._folder)) as index:
            for _ in range(MAX_RECORDS):
                self._pass_records(index)
                end = self._cut(index, min(size, self.offset + MAX_CHUNK))
                if self._is_selected():
                    data = self._bytes_to(end)
                    chunk = self._chunk(index, data)
                    self.offset += len(data)
                    return chunk
                self._passed += end - self.offset
                self.offset = end
                if self._passed >= MAX_CHUNK:
                    break
                if self.offset == size:
                    return None
            return self._chunk(index, b"")

    def rest(self) -> list[Chunk]:
        """At the end: what was passed over, then what was dropped after the last byte.

        Apart, as what was dropped at an offset is told again to who goes on from there.
        """
        with closing(Index(self._folder)) as index:
            passed = [self._chunk(index, b"")] if self._passed else []
            self._pass_records(index)
            dropped = self._chunk(index, b"")
        return [*passed, dropped] if dropped.skipped else passed

    def _is_selected(self) -> bool:
        if self._stream is None:
            return True
        return self._run is not None and STREAM[self._run.kind] is self._stream

    def _bytes_to(self, end: int) -> bytes:
        with (self._folder / "output").open("rb", buffering=0) as file:
            return os.pread(file.fileno(), end - self.offset, self.offset)

    def _chunk(self, index: Index, data: bytes) -> Chunk:
        self._passed = 0
        missing = self._gaps.missing(index)
        skipped, self._told = missing - self._told, missing
        if not self._tagged:
            return Chunk(data, self.offset, skipped=skipped)
        if self._run is None:  # a torn index
            return Chunk(data, self.offset, Stream.MERGED, skipped=skipped)
        stream, time = STREAM[self._run.kind], utc(self._run.value)
        return Chunk(data, self.offset, stream, time, skipped)

    def _pass_records(self, index: Index) -> None:
        """Take in what the index says about the place of the next byte."""
        if self._next < FIRST:
            self._next = index.first_at(self.offset)
            self._run = index.run_before(self._next) if self._minds_runs else None
        for record in index.records(self._next):
            if record.offset > self.offset:
                break
            if record.kind in STREAM:
                self._run = record
            elif record.kind in self._gap_kinds:
                self._gaps.add(index, record.kind, self._next)
            self._next += 1

    def _cut(self, index: Index, end: int) -> int:
        """`end`, or the place before it that a chunk can't cross."""
        for count, record in enumerate(index.records(self._next)):
            if record.offset >= end:
                break
            if record.kind in STREAM and (self._minds_runs or count > MAX_RECORDS):
                return record.offset
            if record.kind in GAPS:
                return record.offset
        return end
