"""What is kept of a job that was removed: enough to tell who asks for it, and a late retry."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from worker.jobs.clock import utc
from worker.jobs.row import printable
from worker.jobs.schema import translated

KEPT_S: Final = 7 * 24 * 3600.0  # of service time
MOST: Final = 100_000
_AT_ONCE: Final = 1000  # dropped for their age: others have to wait meanwhile

_ADD: Final = """
INSERT OR REPLACE INTO tombstones (id, digest, removed_us, removed_s, how)
SELECT id, digest, ?, ?, ? FROM jobs WHERE id = ?
"""
_DROP_SURPLUS: Final = """
DELETE FROM tombstones WHERE number <= (SELECT max(number) FROM tombstones) - ?
"""
_DROP_OLD: Final = """
DELETE FROM tombstones WHERE removed_s < ? AND number IN
    (SELECT number FROM tombstones ORDER BY number LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """`digest` is of the request; `how` says by whom or why: "by alice"."""

    digest: bytes
    removed_at: datetime
    how: str

    def __str__(self) -> str:
        when = f"at {self.removed_at:%Y-%m-%d %H:%M:%S} UTC"
        return " ".join(filter(None, ("removed", self.how, when)))


class Tombstones:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def find(self, job_id: UUID) -> Tombstone | None:
        with translated():
            found = self._database.execute("SELECT * FROM tombstones WHERE id = ?", [str(job_id)])
            row = found.fetchone()
        if row is None:
            return None
        return Tombstone(bytes(row["digest"]), utc(row["removed_us"]), row["how"])

    def add(self, going: Iterable[tuple[UUID, str]], now_s: float) -> None:
        """For jobs that have a row: each with the way in which it goes."""
        removed_us = time.time_ns() // 1000
        values = ((removed_us, now_s, printable(how), str(job_id)) for job_id, how in going)
        with translated():
            self._database.executemany(_ADD, values)
            self._database.execute(_DROP_SURPLUS, [MOST])

    def drop_old(self, now_s: float) -> None:
        """Some of those that are older than `KEPT_S`."""
        with translated():
            self._database.execute(_DROP_OLD, [now_s - KEPT_S, _AT_ONCE])
