"""What its owner asks of a job that runs: a signal, input."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import suppress
from typing import Final

from worker.errors import JobNotFound, NotNow
from worker.jobs.keeper_client import KeeperClient
from worker.jobs.signals import signal_number
from worker.jobs.tracked import TrackedJob
from worker.keeper.messages import Accepted, Input, Signal

PIECE: Final = 64 * 1024  # bytes of input in one message


async def signal(keeper: KeeperClient, job: TrackedJob, name: str, *, leader_only: bool) -> None:
    """See Job.signal."""
    number = signal_number(name, "signal")
    await _running(job)
    try:
        await keeper.answered(Signal(0, job.row.request.job, number, leader_only))
    except JobNotFound:
        raise _over(job) from None


async def take_input(
    keeper: KeeperClient, job: TrackedJob, offset: int, data: bytes, *, end: bool = False
) -> int:
    """The number of bytes that were accepted in all; without `data` and `end` only that.

    Returns when the pipe has taken `data`. Raises NotNow where stdin is closed or another sender
    has taken over, OutOfRange for an offset beyond what was accepted.
    """
    await _running(job)
    if not job.row.request.has_input:
        raise NotNow(f"job {job.status.id} was started without input: its stdin is /dev/null")
    try:
        answer = await keeper.answered(Input(0, job.row.request.job, offset, end), data)
    except JobNotFound:
        raise _over(job) from None
    return answer.total if isinstance(answer, Accepted) else offset


async def send_input(
    keeper: KeeperClient, job: TrackedJob, chunks: AsyncIterable[bytes], *, end: bool
) -> int:
    """See Job.send_input."""
    offset = await take_input(keeper, job, 0, b"")
    async for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            piece = bytes(chunk[start : start + PIECE])
            accepted = await take_input(keeper, job, offset, piece)
            offset += len(piece)
            if accepted != offset:
                raise NotNow("another sender has taken over the job's stdin")
    if end:
        with suppress(NotNow):  # it has read all that it wanted, and ended
            await take_input(keeper, job, offset, b"", end=True)
    return offset


async def _running(job: TrackedJob) -> None:
    await job.wait_started()
    job.check()
    if job.status.is_final or job.is_complete:
        raise _over(job)


def _over(job: TrackedJob) -> NotNow:
    return NotNow(f"job {job.status.id} has ended")
