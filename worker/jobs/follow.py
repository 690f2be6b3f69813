"""A follower of a job's output: two files and a position. Nothing is kept for it anywhere.

Chunks end where something is missing, tagged ones also where another run begins. What was
dropped is told with the next byte, or alone at the very end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Final

from worker.errors import Incomplete, NoRoom, OutOfRange
from worker.jobs import fault
from worker.jobs.clock import utc
from worker.jobs.index import FIRST, GAPS, STREAM, Gaps, Index, Record
from worker.jobs.tracked import TrackedJob
from worker.state import Chunk, Stream

MAX_CHUNK: Final = 256 * 1024
MAX_RECORDS: Final = 2048  # passed in one turn of the loop, some ms


class OutputReader:
    """Reads what there is from `offset` on, chunk by chunk."""

    def __init__(self, folder: Path, *, offset: int = 0, tagged: bool = False) -> None:
        self.offset = offset
        self._tagged = tagged
        self._index = Index(folder)
        self._file: int | None = None
        try:
            self._file = os.open(folder / "output", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            pass  # a job that never started has none
        except OSError:
            self._index.close()
            raise
        self._next = 0  # the first record that isn't passed yet; the header: not placed yet
        self._run: Record | None = None
        self._gaps = Gaps()
        self._told = 0  # of what is missing in them

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._index.close()

    @property
    def size(self) -> int:
        """What could be read at this moment, from byte 0 on."""
        return 0 if self._file is None else os.fstat(self._file).st_size

    def read(self) -> Chunk | None:
        """The next chunk; None at the end of what is there."""
        size = self.size  # before the index: see there
        if self._file is None or self.offset >= size:
            return None
        self._pass_records()
        end = self._cut(min(size, self.offset + MAX_CHUNK))
        data = os.pread(self._file, end - self.offset, self.offset)
        chunk = self._chunk(data)
        self.offset += len(data)
        return chunk

    def rest(self) -> Chunk | None:
        """What was dropped after the last byte; to be asked for at the end."""
        self._pass_records()
        chunk = self._chunk(b"")
        return chunk if chunk.skipped else None

    def _chunk(self, data: bytes) -> Chunk:
        missing = self._gaps.missing(self._index)
        skipped, self._told = missing - self._told, missing
        if not self._tagged:
            return Chunk(data, self.offset, skipped=skipped)
        if self._run is None:  # a torn index
            return Chunk(data, self.offset, Stream.MERGED, skipped=skipped)
        stream, time = STREAM[self._run.kind], utc(self._run.value)
        return Chunk(data, self.offset, stream, time, skipped)

    def _pass_records(self) -> None:
        """Take in what the index says about the place of the next byte."""
        if self._next < FIRST:
            self._next = self._index.first_at(self.offset)
            self._run = self._index.run_before(self._next) if self._tagged else None
        for record in self._index.records(self._next):
            if record.offset > self.offset:
                break
            if record.kind in STREAM:
                self._run = record
            elif record.kind in GAPS:
                self._gaps.add(self._index, record.kind, self._next)
            self._next += 1

    def _cut(self, end: int) -> int:
        """`end`, or the place before it that a chunk can't cross."""
        for count, record in enumerate(self._index.records(self._next)):
            if record.offset >= end:
                break
            if record.kind in STREAM and (self._tagged or count > MAX_RECORDS):
                return record.offset
            if record.kind in GAPS:
                return record.offset
        return end


async def followed(
    watching: AbstractContextManager[TrackedJob], *, offset: int, follow: bool, tagged: bool
) -> AsyncGenerator[Chunk, None]:
    """Every byte of the job from `offset` on; see Job.output. `watching` keeps it meanwhile."""
    with ExitStack() as stack:
        job = stack.enter_context(watching)
        await job.wait_started()
        reader = stack.enter_context(closing(_opened(job, offset, tagged=tagged)))
        while True:
            is_over = job.is_over  # before the read: only then is what follows all there is
            while chunk := reader.read():
                fault.point(fault.WHILE_FOLLOWING)
                yield chunk
                await asyncio.sleep(0)  # a reader that never waits must not hold up the rest
            if is_over or not follow:
                break
            await job.wait_grown(reader.offset)
            if reader.size <= reader.offset < job.size:  # else we would ask for ever
                raise _short(reader, job, job.size)
        if follow:
            job.check()
        if job.status.is_final:
            _check_end(reader, job)
        if rest := reader.rest():
            yield rest


def _opened(job: TrackedJob, offset: int, *, tagged: bool) -> OutputReader:
    try:
        return OutputReader(job.folder, offset=offset, tagged=tagged)
    except OSError as error:
        raise NoRoom(f"the output of {job.status.id} can't be opened: {error.strerror}") from error


def _check_end(reader: OutputReader, job: TrackedJob) -> None:
    size, recorded = reader.size, job.status.output.total
    if size < recorded:
        raise _short(reader, job, recorded)
    if reader.offset > size:
        raise OutOfRange(f"offset {reader.offset} is beyond the output, which has {size} bytes")


def _short(reader: OutputReader, job: TrackedJob, told: int) -> Incomplete:
    """Somebody has cut or deleted the file."""
    return Incomplete(f"the output of {job.status.id} has {reader.size} bytes of {told}")
