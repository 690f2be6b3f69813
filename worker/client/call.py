"""One request over grpclib, made exact where grpclib is not.

It wakes whoever waits on a connection that broke by cancelling the task, and forgets to take
that back: a later time-out, TaskGroup or Ctrl-C of that task would go wrong. It waits for ever
where the connection breaks before the request is sent. It asserts that answers are complete.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from grpclib.client import Stream
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.utils import DeadlineWrapper

from worker.client.connection import PinnedProtocol

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

CUT_SHORT: Final = "an answer ended before it was complete"
RENEWED: Final = (
    "the server refuses the certificate of this connection; there is a new one: try again"
)


class Waker(DeadlineWrapper):
    """Wakes whoever waits inside of it, by an error; a cancellation by others passes."""

    def __init__(self) -> None:
        super().__init__()
        self._cancelling: dict[asyncio.Task[object], int] = {}  # before each entered
        self._woken: set[asyncio.Task[object]] = set()

    def __enter__(self) -> None:
        super().__enter__()
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling[task] = task.cancelling()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        before = self._cancelling.pop(task)
        if task in self._woken:
            self._woken.discard(task)
            if task.uncancel() > before:  # by another, too: that must not be lost
                self._tasks.discard(task)
                return
        super().__exit__(exc_type, exc_val, exc_tb)

    def cancel(self, error: Exception) -> None:
        if self._error is not None:
            return  # the first reason counts; a second wake-up could not be taken back
        self._woken |= self._tasks
        super().cancel(error)


class Call(Stream[Asked, Answered]):
    _protocol: PinnedProtocol | None = None  # until the request is sent

    async def __aenter__(self) -> Stream[Asked, Answered]:
        self._wrapper = waker = Waker()
        if self._deadline is not None:
            self._wrapper_ctx = waker.start(self._deadline)
            self._wrapper_ctx.__enter__()
        return self

    async def send_request(self, *, end: bool = False) -> None:
        self._protocol = protocol = cast("PinnedProtocol", await self._channel.__connect__())
        with protocol.waking(self._wrapper):
            await super().send_request(end=end)

    async def recv_message(self) -> Answered | None:
        try:
            answer = await super().recv_message()
        except AssertionError as error:  # the stream ended in the middle of a message
            raise StreamTerminatedError(CUT_SHORT) from error
        except AttributeError as error:  # grpclib takes itself apart when a ping isn't answered
            if not self._stream.connection.is_closing():
                raise
            raise StreamTerminatedError("a ping was not answered") from error
        if answer is None and not self._cardinality.server_streaming:
            await self.recv_trailing_metadata()  # raises what the server says, if it says it
            raise StreamTerminatedError(CUT_SHORT)
        return answer

    def _raise_for_grpc_status(self, status: Status, message: str | None, details: Any) -> None:
        if status is Status.UNAUTHENTICATED and self._protocol and self._protocol.retire():
            raise GRPCError(Status.UNAVAILABLE, RENEWED)  # as if the connection had broken
        super()._raise_for_grpc_status(status, message, details)

    def _check_status(self) -> None:
        """Grpclib passes over what has come, but wasn't read before the connection was closed."""
        if not (self._recv_trailing_metadata_done or self._cancel_done):
            self._maybe_raise()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc_val, exc_tb)
            if exc_type is None and self._send_request_done:
                self._check_status()
        finally:
            if self._protocol:
                self._protocol.end_if_done()
