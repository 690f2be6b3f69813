"""Space on the disk that is kept for making room: a full one must let jobs be removed.

A removal writes to the database: first to its log of changes, which may have taken all that there
was. So the log is begun anew in the blocks that it has. What the file lacks to take the log's
pages is given from here, once: it then has them, and removals add none.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from worker.errors import NoRoom

T = TypeVar("T")

_SIZE: Final = 4 * 2**20  # of the log: as much as the file may have to grow by
_PART: Final = 16  # of a small disk: one part of so many
_STEP: Final = 64 * 2**10  # given, or taken again, at a time: others may be faster


class Reserve:
    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path, self._database = path, database
        self._size = 0
        self.take()

    def take(self) -> None:
        """What isn't there, as far as there is room."""
        with suppress(OSError):
            most = min(_SIZE, _size_of_disk(self._path.parent) // _PART)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._size = os.fstat(fd).st_size
                while self._size < most:
                    os.posix_fallocate(fd, self._size, _STEP)
                    self._size += _STEP
            finally:
                os.close(fd)

    def _give(self) -> None:
        self._size = max(0, self._size - _STEP)
        with suppress(OSError):
            os.truncate(self._path, self._size)

    def helping(self, remove: Callable[[], T]) -> T:
        """What `remove` returns. Raises NoRoom if all of this is too little."""
        try:
            return remove()
        except NoRoom:
            pass
        try:
            while True:
                with suppress(sqlite3.Error):  # the next try will tell
                    self._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                try:
                    return remove()
                except NoRoom:
                    if not self._size:
                        raise
                    self._give()
        finally:
            self.take()


def _size_of_disk(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize
