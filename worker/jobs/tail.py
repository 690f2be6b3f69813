"""Where the last bytes or lines of an output begin. Blocks: call it in a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from worker.jobs.index import STREAM, Index
from worker.selection import Selection
from worker.state import Stream

LOOKED_THROUGH: Final = 16 * 2**20  # bytes, for lines
RUNS: Final = 2**18  # looked through for one stream: less than a second
_BLOCK: Final = 64 * 1024


class Piece(NamedTuple):
    start: int
    end: int


def tail_offset(folder: Path, selection: Selection) -> int:
    """Raises OSError where the files can't be opened."""
    try:
        file = os.open(folder / "output", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    try:
        size = os.fstat(file).st_size  # before the index: see there
        with closing(Index(folder)) as index:
            pieces = _pieces_backwards(index, size, selection.stream)
            if selection.tail_bytes is not None:
                return _bytes_from(pieces, size, selection.tail_bytes)
            return _lines_from(file, pieces, size, selection.tail_lines or 0)
    finally:
        os.close(file)


def _pieces_backwards(index: Index, size: int, stream: Stream) -> Iterator[Piece]:
    """Of the selected stream, the last first."""
    if stream is Stream.ALL:
        yield Piece(0, size)
        return
    end = size
    for record in islice(index.runs_backwards(), RUNS):
        if record.offset < end:  # of several runs at one offset the last counts
            if STREAM[record.kind] is stream:
                yield Piece(record.offset, end)
            end = record.offset


def _bytes_from(pieces: Iterator[Piece], size: int, count: int) -> int:
    start = size
    for piece in pieces:
        if count <= 0:
            break
        start = max(piece.start, piece.end - count)
        count -= piece.end - start
    return start


def _lines_from(file: int, pieces: Iterator[Piece], size: int, count: int) -> int:
    """Where the last but `count` line has ended."""
    if count <= 0:
        return size
    start, is_last = size, True
    for start, block in _blocks_backwards(file, pieces):
        found = len(block)
        if is_last and block:
            is_last = False
            found -= 1  # what ends the last line begins no other one
        while (found := block.rfind(b"\n", 0, found)) >= 0:
            count -= 1
            if count == 0:
                return start + found + 1
    return start


def _blocks_backwards(file: int, pieces: Iterator[Piece]) -> Iterator[tuple[int, bytes]]:
    """Each with its place."""
    looked_through = 0
    for piece in pieces:
        end = piece.end
        while end > piece.start:
            start = max(piece.start, end - _BLOCK)
            block = os.pread(file, end - start, start)
            yield start, block
            looked_through += len(block)
            if looked_through >= LOOKED_THROUGH:
                return
            end = start
