"""The two timers of a job: one of its phase, one of its time limit. Both are monotonic."""

from __future__ import annotations

import time

from worker.keeper.facts import Facts
from worker.keeper.loop import Callback, Loop, Owner, Timer


class Deadlines:
    """They stand in `facts`, so that they hold over a re-exec."""

    def __init__(self, facts: Facts, loop: Loop, owner: Owner) -> None:
        self._facts, self._loop, self._owner = facts, loop, owner
        self._phase: Timer | None = None
        self._limit: Timer | None = None

    def call_at(self, due: float, callback: Callback) -> None:
        """In place of what the phase waited for."""
        self.cancel_phase()
        self._facts.due = due
        self._phase = self._call_at(due, callback)

    def call_within(self, seconds: float, callback: Callback) -> None:
        """Unless the phase waits for something earlier."""
        due = time.monotonic() + seconds
        if self._facts.due is None or self._facts.due > due:
            self.call_at(due, callback)

    def cancel_phase(self) -> None:
        if self._phase:
            self._phase.cancel()

    def limit(self, callback: Callback) -> None:
        """Once the time is over that `facts` gives the job, if it gives any."""
        if self._facts.ends_by is not None:
            self._limit = self._call_at(self._facts.ends_by, callback)

    def cancel(self) -> None:
        self.cancel_phase()
        if self._limit:
            self._limit.cancel()

    def _call_at(self, due: float, callback: Callback) -> Timer:
        return self._loop.call_in(due - time.monotonic(), callback, self._owner)
