"""A job's input: only what the server hasn't accepted yet is kept, and sent again if need be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Final
from uuid import UUID

from grpclib.client import Stream
from grpclib.const import Cardinality
from grpclib.exceptions import StreamTerminatedError

from gen import workerservice as wire
from worker.client.channel import PinnedChannel
from worker.client.resume import Attempts
from worker.errors import InternalError, NotNow, Unavailable
from worker.rpc.statuses import translated

PIECE: Final = 32 * 1024  # bytes in one request: the contract allows 64 KiB
Requests = Stream[wire.SendInputRequest, wire.SendInputResponse]


class _SourceError(Exception):
    """The caller's source failed, with whatever error: it says nothing of our connection."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Sending:
    """Of one input, over as many connections as it takes."""

    def __init__(self, channel: PinnedChannel, job_id: UUID) -> None:
        self._channel, self._job_id = channel, job_id
        self._accepted: int | None = None  # None: the server hasn't said where to begin
        self._piece = b""  # from there on, and not accepted yet
        self._is_last = False  # nothing follows it
        self._is_done = False

    async def send(self, chunks: AsyncIterable[bytes], patience: float, *, end: bool) -> int:
        """The total that was accepted in the end."""
        attempts = Attempts(self._channel, patience)
        async with aclosing(_pieces(chunks)) as pieces:
            while True:
                try:
                    await attempts.connect()
                    with translated():
                        await self._send_over(pieces, attempts, end=end)
                except _SourceError as failed:
                    raise failed.error from failed.error.__cause__
                except NotNow:
                    if not (self._is_last and self._accepted is not None):
                        raise  # else it has read all that it wanted, and ended
                except Unavailable as error:
                    if not self._is_done:  # else the connection broke behind the last answer
                        await attempts.wait_next(error)
                        continue
                return self._accepted or 0

    async def _send_over(
        self, pieces: AsyncGenerator[bytes, None], attempts: Attempts, *, end: bool
    ) -> None:
        async with self._channel.request(
            "/workerservice.WorkerService/SendInput",
            Cardinality.STREAM_STREAM,
            wire.SendInputRequest,
            wire.SendInputResponse,
        ) as stream:
            await self._exchange(stream, wire.SendInputRequest(job_id=self._job_id.bytes))
            while not self._is_done:
                if not self._piece and not self._is_last:
                    self._piece = await _next(pieces)
                    self._is_last = not self._piece
                if end or not self._is_last:
                    await self._exchange(stream, self._request(is_end=self._is_last))
                    attempts.progress()
                self._is_done = self._is_last
            await stream.end()

    def _request(self, *, is_end: bool) -> wire.SendInputRequest:
        return wire.SendInputRequest(offset=self._accepted or 0, data=self._piece, end=is_end)

    async def _exchange(self, stream: Requests, request: wire.SendInputRequest) -> None:
        """One request, and what the server has accepted by then."""
        await stream.send_message(request)
        answer = await stream.recv_message()
        if answer is None:
            # For this one grpclib looks at the status that the server has ended with.
            raise StreamTerminatedError("the server has ended SendInput without an answer")
        known = answer.accepted if self._accepted is None else self._accepted
        if not known <= answer.accepted <= known + len(self._piece):
            raise InternalError(
                f"the server has accepted {answer.accepted} bytes of input, not {known}"
                f" to {known + len(self._piece)}: does somebody else send, too?"
            )
        self._piece = self._piece[answer.accepted - known :]
        self._accepted = answer.accepted


async def _next(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """Empty at the end. Raises _SourceError."""
    try:
        return await anext(pieces, b"")
    except Exception as error:
        raise _SourceError(error) from error


async def _pieces(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Never empty."""
    async for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            yield chunk[start : start + PIECE]
