"""Changes of jobs, resumed where a connection breaks: by the revision of the last one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from grpclib.const import Cardinality

from gen import workerservice as wire
from worker.client.channel import PinnedChannel
from worker.client.resume import Attempts
from worker.errors import Unavailable
from worker.rpc.convert import id_in, status_of
from worker.rpc.statuses import translated
from worker.state import JobStatus


async def watched(
    channel: PinnedChannel, job_id: UUID | None, since: int, patience: float
) -> AsyncGenerator[JobStatus, None]:
    """See Client.watch."""
    attempts = Attempts(channel, patience)
    is_over = False
    while not is_over:
        asked = wire.WatchRequest(b"" if job_id is None else job_id.bytes, since)
        try:
            await attempts.connect()
            async with aclosing(_answer(channel, asked)) as statuses:
                async for status in statuses:
                    attempts.progress()
                    since = status.revision
                    is_over = job_id is not None and (status.is_final or status.removed)
                    yield status
        except Unavailable as error:
            if not is_over:  # else the connection broke behind the last one
                await attempts.wait_next(error)
        else:
            return


async def _answer(
    channel: PinnedChannel, asked: wire.WatchRequest
) -> AsyncGenerator[JobStatus, None]:
    with translated():
        # Not the stub's: of its two nested generators only the outer one can be closed.
        async with channel.request(
            "/workerservice.WorkerService/Watch",
            Cardinality.UNARY_STREAM,
            wire.WatchRequest,
            wire.QueryStatusResponse,
        ) as stream:
            await stream.send_message(asked, end=True)
            async for answer in stream:
                yield status_of(answer, id_in(answer))
