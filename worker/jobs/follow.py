"""A follower: reads what is there, waits for more, ends when the job has ended and all is read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

from worker.errors import DataLost, InvalidRequest, OutOfRange, Unavailable
from worker.jobs import fault
from worker.jobs.reader import OutputReader
from worker.jobs.tail import tail_offset
from worker.jobs.threads import TAILS
from worker.jobs.tracked import TrackedJob
from worker.selection import Selection
from worker.state import Chunk, Stream

log = logging.getLogger(__name__)

T = TypeVar("T")


async def followed(
    watching: AbstractContextManager[TrackedJob], selection: Selection
) -> AsyncGenerator[Chunk, None]:
    """What is selected of the job; see Job.output. `watching` keeps it meanwhile.

    A tail begins with an empty chunk, which tells where.
    """
    with watching as job:
        await job.wait_started()
        placed, follow = await _placed(job, selection), selection.follow
        reader = OutputReader(job.folder, placed)
        if selection.is_tail:
            yield Chunk(b"", reader.offset)
        while True:
            is_over = job.is_over  # before the read: only then is what follows all there is
            while chunk := _opened(job, reader.read):
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
        for chunk in _opened(job, reader.rest):
            yield chunk


async def _placed(job: TrackedJob, selection: Selection) -> Selection:
    """A tail as an offset. Raises InvalidRequest for one stream of two that were merged."""
    if selection.stream is not Stream.ALL and job.row.request.merged:
        raise InvalidRequest(f"stream: job {job.status.id} has merged them: leave it out")
    if not selection.is_tail:
        return selection
    try:
        offset = await TAILS.run(tail_offset, job.folder, selection)
    except OSError as error:
        raise _cannot_open(job, error) from error
    return replace(selection, offset=offset, tail_bytes=None, tail_lines=None)


def _opened(job: TrackedJob, read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError as error:
        raise _cannot_open(job, error) from error


def _cannot_open(job: TrackedJob, error: OSError) -> Unavailable:
    """Without a descriptor left, say: what was asked for is still there in a moment."""
    return Unavailable(f"the output of {job.status.id} can't be opened: {error.strerror}")


def _check_end(reader: OutputReader, job: TrackedJob) -> None:
    size, recorded = reader.size, job.status.output.total
    if size < recorded:
        raise _short(reader, job, recorded)
    if reader.offset > size:
        raise OutOfRange(f"offset {reader.offset} is beyond the output, which has {size} bytes")


def _short(reader: OutputReader, job: TrackedJob, told: int) -> DataLost:
    """Somebody has cut or deleted the file."""
    error = DataLost(
        f"the output of {job.status.id} has {reader.size} bytes of {told} on the server's disk"
    )
    log.error("%s", error)
    return error
