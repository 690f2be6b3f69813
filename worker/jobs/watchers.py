"""Who reads a job's output at this moment: retention leaves it alone as long."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID


class Watchers:
    """`changed` is set when the last one of a job is gone."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self._counts: Counter[UUID] = Counter()

    def __contains__(self, job_id: UUID) -> bool:
        return job_id in self._counts

    @contextmanager
    def one_more(self, job_id: UUID) -> Iterator[None]:
        self._counts[job_id] += 1
        try:
            yield
        finally:
            self._counts[job_id] -= 1
            if not self._counts[job_id]:
                del self._counts[job_id]
                self._changed.set()
