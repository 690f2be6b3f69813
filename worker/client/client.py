"""The jobs of a server, over one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

from grpclib.client import Stream
from grpclib.const import Cardinality

from gen import workerservice as wire
from worker.client.channel import PinnedChannel
from worker.client.config import ClientConfig
from worker.errors import Incomplete, InternalError, InvalidRequest, Unavailable
from worker.job import Job
from worker.rpc.convert import chunk_of, is_end, start_request, status_of
from worker.rpc.statuses import translated
from worker.spec import JobSpec, checked_grace_period
from worker.state import Chunk, JobStatus

LONGEST_WAIT: Final = 60.0  # seconds, of one call: a wait for days is many of them
MAX_OFFSET: Final = 2**63 - 1
JOB_ID_SIZE: Final = 16  # bytes of a UUID


class Client:
    """Gives the same `Job` as a Registry in process.

    Entering it connects: BadConfig for a file that can't be used or a server that isn't the one
    to trust, Unavailable for one that can't be reached. A connection that broke is made again
    at the next call.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            self._channel = PinnedChannel(self._config)
            await opened.enter_async_context(self._channel)
            await self._channel.connect()
            self._stub = wire.WorkerServiceStub(self._channel)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._opened.aclose()

    async def start(self, command: str, *arguments: str, **options: Any) -> Job:
        """`options` are the other fields of JobSpec. Raises as `submit` does."""
        return await self.submit(JobSpec(command, arguments, **options))

    async def submit(self, spec: JobSpec, job_id: UUID | None = None) -> Job:
        """The job, once its command is executed.

        With the same id and spec again it is the same job: nothing is started twice. Raises
        InvalidRequest, JobExists, NoRoom; after Unavailable the job may have been started.
        """
        asked = start_request(spec, job_id or uuid4())
        with translated():
            answer = await self._stub.start(asked)
        if len(answer.job_id) != JOB_ID_SIZE:
            raise InternalError(f"the server's StartResponse bears the job id {answer.job_id!r}")
        return Job(UUID(bytes=answer.job_id), self)  # the original server chooses its own

    async def status(self, job_id: UUID) -> JobStatus:
        """See Job.status."""
        with translated():
            answer = await self._stub.query_status(wire.QueryStatusRequest(job_id=job_id.bytes))
        return status_of(answer, job_id)

    async def wait(self, job_id: UUID, timeout: float | None = None) -> JobStatus:
        """See Job.wait."""
        now = asyncio.get_running_loop().time
        deadline = float("inf") if timeout is None else now() + timeout
        while True:
            left = max(0.0, min(LONGEST_WAIT, deadline - now()))
            asked = wire.WaitRequest(job_id=job_id.bytes, timeout=timedelta(seconds=left))
            with translated():
                status = status_of(await self._stub.wait(asked), job_id)
            if status.is_final or now() >= deadline:
                return status

    async def stop(self, job_id: UUID, *, grace_period: float | None = None) -> None:
        """See Job.stop."""
        asked = wire.StopRequest(job_id=job_id.bytes)
        if grace_period is not None:
            asked.grace_period = timedelta(seconds=checked_grace_period(grace_period))
        with translated():
            await self._stub.stop(asked)

    async def output(
        self, job_id: UUID, *, offset: int = 0, follow: bool = True, tagged: bool = False
    ) -> AsyncGenerator[Chunk, None]:
        """See Job.output. Without its end message an answer is never complete."""
        if not 0 <= offset <= MAX_OFFSET:
            raise InvalidRequest(f"offset must be 0 to {MAX_OFFSET}, not {offset}")
        asked = wire.GetOutputRequest(
            job_id=job_id.bytes, offset=offset, no_follow=not follow, tagged=tagged
        )
        following: int | None = None
        complete = False
        try:
            with translated():
                async with self._get_output() as stream:
                    await stream.send_message(asked, end=True)
                    async for answer in stream:
                        if complete := is_end(answer):
                            return
                        following = answer.offset + len(answer.output)
                        yield chunk_of(answer)
        except Unavailable as error:
            if complete:  # the connection broke behind the last message
                return
            if following is None:
                raise
            raise _incomplete(job_id, following, error) from error
        following = offset if following is None else following
        raise _incomplete(job_id, following, "the server sent no end message")

    def _get_output(self) -> Stream[wire.GetOutputRequest, wire.GetOutputResponse]:
        # Not the stub's: of its two nested generators only the outer one can be closed.
        return self._channel.request(
            "/workerservice.WorkerService/GetOutput",
            Cardinality.UNARY_STREAM,
            wire.GetOutputRequest,
            wire.GetOutputResponse,
        )


def _incomplete(job_id: UUID, following: int, why: object) -> Incomplete:
    return Incomplete(f"the output of job {job_id} broke off at offset {following}: {why}")
