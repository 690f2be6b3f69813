"""What is kept of a job that was removed: enough to tell who asks for it, and a late retry.

One that was never started leaves a tombstone too, for watchers, who were told of it. That has a
number below 0, stands in nobody's way, and pushes none of the others out.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from worker.jobs.clock import utc
from worker.jobs.row import printable
from worker.jobs.schema import translated

KEPT_S: Final = 7 * 24 * 3600.0  # of service time
MOST: Final = 100_000
MOST_NEVER_STARTED: Final = 1000
_AT_ONCE: Final = 1000  # dropped for their age: others have to wait meanwhile

_ADD: Final = """
INSERT OR REPLACE INTO tombstones
    (number, id, digest, removed_us, removed_s, how, state, created_us, revision)
SELECT (SELECT {number} FROM tombstones), id, digest, ?, ?, ?, state, created_us, ?
    FROM jobs WHERE id = ?
"""
_NEXT: Final = "max(0, coalesce(max(number), 0)) + 1"
_NEXT_NEVER_STARTED: Final = "min(0, coalesce(min(number), 0)) - 1"
_FIND: Final = "SELECT * FROM tombstones WHERE id = ? AND number > 0"
_LIFT: Final = "DELETE FROM tombstones WHERE id = ? AND number < 0"
_SURPLUS: Final = "number > 0 AND number <= (SELECT max(number) FROM tombstones) - ?"
_SURPLUS_NEVER_STARTED: Final = "number < 0 AND number >= (SELECT min(number) FROM tombstones) + ?"
_OLD: Final = """
removed_s < ? AND (number < 0 OR number IN (
    SELECT number FROM tombstones WHERE number > 0 ORDER BY number LIMIT ?))
"""
_FORGET: Final = """
UPDATE history SET floor = max(floor,
    coalesce((SELECT max(revision) FROM tombstones WHERE {which}), 0))
"""
_DROP: Final = "DELETE FROM tombstones WHERE {which}"


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
            row = self._database.execute(_FIND, [str(job_id)]).fetchone()
        if row is None:
            return None
        return Tombstone(bytes(row["digest"]), utc(row["removed_us"]), row["how"])

    def add(
        self,
        going: Iterable[tuple[UUID, str]],
        now_s: float,
        revision: Callable[[], int],
        *,
        has_run: bool = True,
    ) -> None:
        """For jobs that have a row: each with the way in which it goes."""
        removed_us = time.time_ns() // 1000
        values = (
            (removed_us, now_s, printable(how), revision(), str(job_id)) for job_id, how in going
        )
        with translated():
            add = _ADD.format(number=_NEXT if has_run else _NEXT_NEVER_STARTED)
            self._database.executemany(add, values)
        if has_run:
            self._drop(_SURPLUS, MOST)
        else:
            self._drop(_SURPLUS_NEVER_STARTED, MOST_NEVER_STARTED)

    def lift(self, job_id: str) -> None:
        """If it was never started: now it is tried again."""
        with translated():
            self._database.execute(_LIFT, [job_id])

    def drop_old(self, now_s: float) -> None:
        """Some of those that are older than `KEPT_S`."""
        self._drop(_OLD, now_s - KEPT_S, _AT_ONCE)

    def _drop(self, which: str, *values: float) -> None:
        """From then on no watcher can go on from before them."""
        with translated():
            for step in (_FORGET, _DROP):
                self._database.execute(step.format(which=which), values)
