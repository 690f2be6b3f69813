"""One attempt at an output, from its request to its end message."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from uuid import UUID

from grpclib.const import Cardinality

from gen import workerservice as wire
from worker.client.channel import PinnedChannel
from worker.client.resume import broken_off
from worker.errors import Unavailable
from worker.rpc.asking import output_request
from worker.rpc.convert import chunk_of, is_end
from worker.rpc.statuses import translated
from worker.selection import Selection
from worker.state import Chunk


async def attempted(
    channel: PinnedChannel, job_id: UUID, selection: Selection
) -> AsyncGenerator[Chunk, None]:
    """Without its end message an answer is never complete: Incomplete."""
    asked = output_request(job_id, selection)
    following, is_complete = asked.offset, False
    # Not the stub's method: of its two nested generators only the outer one can be closed.
    request = channel.request(
        "/workerservice.WorkerService/GetOutput",
        Cardinality.UNARY_STREAM,
        wire.GetOutputRequest,
        wire.GetOutputResponse,
    )
    try:
        with translated():
            async with request as stream:
                await stream.send_message(asked, end=True)
                async for answer in stream:
                    if is_complete := is_end(answer):
                        return
                    following = answer.offset + len(answer.output)
                    yield chunk_of(answer)
    except Unavailable:
        if not is_complete:  # else the connection broke behind the last message
            raise
    if not is_complete:
        raise broken_off(job_id, following, "the server sent no end message")
