"""Space on the disk that is kept for making room: a full one must let jobs be removed.

A removal writes to the database, whose log of changes may have taken all that there was.
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

_SIZE: Final = 4 * 2**20  # of the log: as much as the file may have to grow when that is cut
_PART: Final = 16  # of a small disk: one part of so many


class Reserve:
    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path, self._database = path, database
        self.take()

    def take(self) -> None:
        """If it isn't there. All or nothing: the rest of a disk that is full isn't ours alone."""
        try:
            size = min(_SIZE, _size_of_disk(self._path.parent) // _PART)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(fd, 0, size)
            finally:
                os.close(fd)
        except OSError:
            self._give_back()

    def _give_back(self) -> None:
        with suppress(OSError):
            self._path.unlink()

    def helping(self, remove: Callable[[], T]) -> T:
        """What `remove` returns. Where it finds no room it has this, unless others are faster."""
        try:
            return remove()
        except NoRoom:
            self._give_back()
        try:
            with suppress(sqlite3.Error):  # it is cut as far as it can be
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return remove()
        finally:
            self.take()


def _size_of_disk(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize
