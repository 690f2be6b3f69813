"""A number that grows with each change of any job, so that a watcher can go on where it was.

It goes on from the time in µs at which its table is opened. So none is given a second time, even
if a power cut or a full disk has taken the newest ones from the table; and where the table was
rebuilt, a cursor of the one before is known to be too old.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Final

from worker.errors import NotNow
from worker.jobs.schema import translated

_LAST: Final = """
SELECT max(floor, coalesce((SELECT max(revision) FROM jobs), 0),
    coalesce((SELECT max(revision) FROM tombstones), 0)) FROM history
"""
_FLOOR: Final = "SELECT floor FROM history"


class Revisions:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        with translated():
            recorded: int
            (recorded,) = database.execute(_LAST).fetchone()
        self.last = max(recorded, time.time_ns() // 1000)
        self._growth = asyncio.Event()  # a new one each time

    def next(self) -> int:
        self.last += 1
        return self.last

    def tell(self) -> None:
        """What was recorded can be read now; or who waits has to know that nothing more will be."""
        self._growth.set()
        self._growth = asyncio.Event()

    async def wait_told(self) -> None:
        """From now on: whoever waits has looked just before."""
        await self._growth.wait()

    def check(self, revision: int) -> None:
        """Raises NotNow for one since which a change may have been forgotten. 0: from the start."""
        with translated():
            (floor,) = self._database.execute(_FLOOR).fetchone()
        if revision and not floor <= revision <= self.last:
            raise NotNow(
                f"what happened since revision {revision} isn't known any more: begin with 0"
            )
