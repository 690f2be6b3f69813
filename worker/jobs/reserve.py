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

    def take(self) -> None:
        """What is missing, where that leaves as much to others."""
        with suppress(OSError):
            self._size = self._path.stat().st_size if self._path.exists() else 0
            disk = os.statvfs(self._path.parent)
            most = min(_SIZE, disk.f_blocks * disk.f_frsize // _PART)
            missing = most - self._size
            if disk.f_bavail * disk.f_frsize >= 2 * missing:
                self._grow(missing)

    def _grow(self, size: int) -> None:
        """As far as there is room."""
        if size <= 0:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with suppress(OSError):
            fd = os.open(self._path, flags, 0o600)
            try:
                for _ in range(0, size, _STEP):
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
            before = self._size
        try:
            while True:
                with suppress(sqlite3.Error):  # the next try will tell
                    self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                try:
                    return remove()
                except NoRoom:
                    if not self._size:
                        raise
                    self._give()
        finally:
            self._grow(before - self._size)
