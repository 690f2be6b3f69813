"""How much of a job's output came from which stream: counted along its index."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from worker.jobs.folder import output_size
from worker.jobs.index import FIRST, GAPS, STREAM, Gaps, Index, Record
from worker.keeper.records import Kind
from worker.state import OutputSize, Stream

_TURN: Final = 4096  # records, some ms: then others have their turn
_UNLIMITED: Final = 2**63


class Tally:
    """Remembers how far it has counted, so that asking again costs only what is new.

    `limit`: runs are counted as if they ended here, where the index says more.
    """

    def __init__(self, folder: Path, *, limit: int = _UNLIMITED) -> None:
        self._folder = folder
        self._limit = limit
        self._one_at_a_time = asyncio.Lock()
        self._next = FIRST
        self._start, self._stream = 0, Stream.MERGED  # of the run that lasts; before any: unknown
        self._sizes: Counter[Stream] = Counter()
        self._gaps = Gaps()
        self._dropped = 0
        self.exit: int | None = None  # as in the index: a code, or SIGNALED | signal

    async def sizes(self) -> OutputSize:
        """Bytes that no record covers, as a torn index leaves them, count as merged."""
        async with self._one_at_a_time:
            total = output_size(self._folder)  # before the index: see there
            with suppress(OSError):  # no descriptor left: what is new is attributed later
                await self._catch_up()
            sizes = self._sizes.copy()
            sizes[self._stream] += max(0, total - self._start)
        streams = sizes[Stream.STDOUT], sizes[Stream.STDERR], sizes[Stream.MERGED]
        return OutputSize(*streams, dropped=self._dropped)

    async def _catch_up(self) -> None:
        with closing(Index(self._folder)) as index:
            for record in index.records(self._next):
                self._count(index, record)
                if self._next % _TURN == 0:
                    await asyncio.sleep(0)
            self._dropped = self._gaps.missing(index)

    def _count(self, index: Index, record: Record) -> None:
        if record.kind in STREAM:
            offset = min(record.offset, self._limit)
            self._sizes[self._stream] += offset - self._start
            self._start, self._stream = offset, STREAM[record.kind]
        elif record.kind in GAPS:
            self._gaps.add(index, record.kind, self._next)
        elif record.kind is Kind.EXIT:
            self.exit = record.value
        self._next += 1
