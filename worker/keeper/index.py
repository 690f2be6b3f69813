"""The index of an output, written ahead: a run's record stands before its first byte.

The other way round, a kill between the two turned stderr into stdout. Of several runs at one
offset the last counts, so a run that nothing followed does no harm. Room for what may have
to be said is reserved before a run begins: later, an index write can't fail for want of disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from worker.keeper.facts import Extent, Gap
from worker.keeper.records import FILE_VERSION, INDEX_MAGIC, OFFSET_BITS, RECORD, Kind

BLOCK: Final = 4096
AHEAD: Final = 5 * RECORD.size  # two gaps, two runs, one exit

GAP_OF: Final = {
    Kind.RUN_STDOUT: Kind.GAP_STDOUT,
    Kind.RUN_STDERR: Kind.GAP_STDERR,
    Kind.RUN_MERGED: Kind.GAP_MERGED,
}


class Index:
    """Of `fd`; begun here unless `extent` tells that it was. Both this and `run` raise OSError."""

    def __init__(self, fd: int, extent: Extent | None = None) -> None:
        self.extent = extent or Extent()
        self._fd = fd
        if not extent:
            self._reserve()
            self._append(Kind.HEADER, FILE_VERSION, INDEX_MAGIC)

    @property
    def size(self) -> int:
        return self.extent.size

    def run(self, kind: Kind, offset: int, now_us: int) -> None:
        """The bytes from `offset` on are of this stream."""
        self._reserve()
        self._append(kind, offset, now_us)

    def gap(self, run: Kind, offset: int, missing: int) -> None:
        """`missing` more bytes of that stream are not there, just before `offset`."""
        last = self.extent.gaps.get(run)
        with _broken_disk_borne():
            if last and last.offset == offset:
                gap = Gap(last.position, offset, last.missing + missing)
                self._write(gap.position, GAP_OF[run], offset, gap.missing)
            else:
                gap = Gap(self.size, offset, missing)
                self._append(GAP_OF[run], offset, missing)
            self.extent.gaps[run] = gap

    def exit(self, offset: int, value: int) -> None:
        with _broken_disk_borne():
            self._append(Kind.EXIT, offset, value)

    def trim(self) -> None:
        """What was reserved and isn't needed goes back to the disk."""
        with _broken_disk_borne():
            os.ftruncate(self._fd, self.size)

    def _reserve(self) -> None:
        if self.extent.reserved < self.size + RECORD.size + AHEAD:
            os.posix_fallocate(self._fd, self.extent.reserved, BLOCK)
            self.extent.reserved += BLOCK

    def _append(self, kind: Kind, offset: int, value: int) -> None:
        self._write(self.size, kind, offset, value)
        self.extent.size += RECORD.size

    def _write(self, position: int, kind: Kind, offset: int, value: int) -> None:
        os.pwrite(self._fd, RECORD.pack(kind << OFFSET_BITS | offset, value), position)


@contextmanager
def _broken_disk_borne() -> Iterator[None]:
    """No job ends for it: what can't be written any more is still counted here."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EROFS):
            raise
