"""The index of an output, written ahead: a run's record stands before its first byte.

The other way round, a kill between the two turned stderr into stdout. Of several runs at one
offset the last counts, so a run that nothing followed does no harm. Room for what may have
to be said is reserved before a run begins: later, an index write can't fail for want of disk.
"""

from __future__ import annotations

import os
from typing import Final

from worker.keeper.messages import FILE_VERSION, INDEX_MAGIC, OFFSET_BITS, RECORD, Kind

BLOCK: Final = 4096
AHEAD: Final = 5 * RECORD.size  # two gaps, two runs, one exit

GAP_OF: Final = {
    Kind.RUN_STDOUT: Kind.GAP_STDOUT,
    Kind.RUN_STDERR: Kind.GAP_STDERR,
    Kind.RUN_MERGED: Kind.GAP_MERGED,
}


class Index:
    """Of `fd`, an empty file. The constructor and `run` raise OSError on a full disk."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._reserved = 0
        self.size = 0
        self._gaps: dict[Kind, tuple[int, int, int]] = {}  # position, offset, bytes
        self._reserve()
        self._append(Kind.HEADER, FILE_VERSION, INDEX_MAGIC)

    def run(self, kind: Kind, offset: int, now_us: int) -> None:
        """The bytes from `offset` on are of this stream."""
        self._reserve()
        self._append(kind, offset, now_us)

    def gap(self, run: Kind, offset: int, missing: int) -> None:
        """`missing` more bytes of that stream are not there, just before `offset`."""
        position, at, before = self._gaps.get(run, (self.size, -1, 0))
        if at != offset:
            position, before = self.size, 0
            self.size += RECORD.size
        self._gaps[run] = position, offset, before + missing
        self._write(position, GAP_OF[run], offset, before + missing)

    def exit(self, offset: int, value: int) -> None:
        self._append(Kind.EXIT, offset, value)

    def trim(self) -> None:
        """What was reserved and isn't needed goes back to the disk."""
        os.ftruncate(self._fd, self.size)

    def _reserve(self) -> None:
        if self._reserved < self.size + RECORD.size + AHEAD:
            os.posix_fallocate(self._fd, self._reserved, BLOCK)
            self._reserved += BLOCK

    def _append(self, kind: Kind, offset: int, value: int) -> None:
        self._write(self.size, kind, offset, value)
        self.size += RECORD.size

    def _write(self, position: int, kind: Kind, offset: int, value: int) -> None:
        os.pwrite(self._fd, RECORD.pack(kind << OFFSET_BITS | offset, value), position)
