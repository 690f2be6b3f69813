"""How long the service has run in all, kept in jobs.db.

Ages are counted in it: no jump of the clock makes a job old, and none ages while nobody could
have asked for it. A kill takes back what was counted since the last `keep`: ages are never too
high.
"""

from __future__ import annotations

import sqlite3
import time

from worker.jobs.schema import translated


class ServiceTime:
    """In seconds. `before`: what earlier runs have counted."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        with translated():
            (seconds,) = database.execute("SELECT seconds FROM service_time").fetchone()
        self.before: float = seconds
        self._began = time.monotonic()

    def now(self) -> float:
        return self.before + time.monotonic() - self._began

    def keep(self) -> None:
        with translated():
            self._database.execute("UPDATE service_time SET seconds = ?", [self.now()])
