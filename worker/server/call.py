"""One request and its answer: the wrapper around every RPC, and the server's one barrier.

Who may ask comes before any look at what is asked. Whatever goes wrong below ends here as a
status of gRPC; only what nobody expected is logged.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import Any, Final

import betterproto
from grpclib.const import Status
from grpclib.protocol import Stream
from h2.exceptions import H2Error

from worker.errors import JobError, NotBuilt, TimedOut, Unavailable
from worker.rpc.statuses import code_of
from worker.server.head import ANSWER, Head, Headers, NotGrpc, trailers
from worker.server.identity import Identity
from worker.server.limits import ANSWER_S, REQUEST_SIZE, REQUEST_SIZES
from worker.server.message import all_received, received, send
from worker.server.policy import ROLES, check_allowed
from worker.server.service import Service

log = logging.getLogger(__name__)

PREFIX: Final = "/workerservice.WorkerService/"


class Call:
    def __init__(
        self, stream: Stream, headers: Headers, caller: Identity, service: Service
    ) -> None:
        self._stream = stream
        self._headers = headers
        self._caller = caller
        self._service = service
        self._limit: asyncio.Timeout | None = None  # while it is being answered
        self._has_begun = False  # its answer
        self._is_leaving = False
        self._is_short = False  # it has been let in, and is answered at once

    def leave(self) -> None:
        """End it with UNAVAILABLE: the server is going. What is done soon is still answered."""
        self._is_leaving = True
        if self._limit and not self._limit.expired():
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(now + (ANSWER_S if self._is_short else 0))

    async def run(self) -> None:
        """Until it is answered; cancelled when the client has gone."""
        try:
            await self._stream.send_headers(await self._end(), end_stream=True)
            if self._stream.closable:  # the client is still sending: nobody will read it
                self._stream.reset_nowait()
        except H2Error:
            log.debug("the stream was closed before its answer was complete", exc_info=True)
        except Exception:  # the barrier's other half: what is left is the end of this stream
            log.exception("the end of an answer to %s could not be sent", self._caller.name)

    async def _end(self) -> list[tuple[str, str]]:
        """The last headers, after all else has been sent."""
        try:
            await self._answer()
            end = trailers(Status.OK, "")
        except NotGrpc as refusal:
            return [(":status", str(refusal.status))]
        except JobError as error:
            end = trailers(code_of(error), str(error))
        except H2Error:
            raise
        except Exception:
            log.exception("a request of %s failed", self._caller.name)
            end = trailers(Status.INTERNAL, "a fault of the server's own: its log says more")
        return end if self._has_begun else [*ANSWER, *end]

    async def _answer(self) -> None:
        head = Head.parsed(self._headers)
        valid_s = self._caller.seconds_left(datetime.now(UTC))
        is_by_certificate = head.timeout is None or valid_s < head.timeout
        limit = asyncio.timeout(valid_s if is_by_certificate else head.timeout)
        try:
            async with limit:
                self._limit = limit
                await self._serve(head.path)
        except TimeoutError:
            if not limit.expired():
                raise  # none of ours
            if self._is_leaving:
                raise Unavailable("the server is leaving: try again") from None
            if is_by_certificate:
                raise self._caller.expired() from None
            raise TimedOut("the deadline of the request ran out") from None
        finally:
            self._limit = None

    async def _serve(self, path: str) -> None:
        if self._is_leaving:
            raise Unavailable("the server is leaving: try again")
        self._caller.check_valid(datetime.now(UTC))
        rpc = path.removeprefix(PREFIX)
        if rpc not in ROLES or rpc == path:
            raise NotBuilt(f"there is no method {path}")
        check_allowed(rpc, self._caller)
        method = self._service.methods[rpc]
        self._is_short = not method.is_long
        size = REQUEST_SIZES.get(rpc, REQUEST_SIZE)
        async with AsyncExitStack() as opened:
            if method.is_stream:
                messages = all_received(self._stream, method.request, size)
                request: Any = await opened.enter_async_context(aclosing(messages))
            else:
                request = await received(self._stream, method.request, size)
            answering = aclosing(method.answers(request, self._caller))
            async for answer in await opened.enter_async_context(answering):
                await self._send(answer)

    async def _send(self, answer: betterproto.Message) -> None:
        if not self._has_begun:
            self._has_begun = True
            await self._stream.send_headers(list(ANSWER))
        await send(self._stream, answer)
        # While window and socket are open nothing above has waited: let others have a turn.
        await asyncio.sleep(0)
