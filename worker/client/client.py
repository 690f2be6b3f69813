"""The jobs of a server; one connection, and more only where it has no room for a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

from gen import workerservice as wire
from worker.client.channel import PinnedChannel
from worker.client.config import ClientConfig
from worker.client.output import attempted
from worker.client.resume import answered, continued
from worker.client.sending import Sending
from worker.client.watch import watched
from worker.errors import (
    InternalError,
    InvalidRequest,
    JobNotFound,
    NoAnswer,
    NotBuilt,
    NotTaken,
    SetupError,
    Unavailable,
)
from worker.job import Job
from worker.listing import ALL_JOBS, ON_A_PAGE, JobFilter, Page, all_pages, only_one
from worker.rpc.asking import list_request, signal_request, start_request
from worker.rpc.convert import id_in, status_of
from worker.rpc.statuses import translated
from worker.selection import Selection
from worker.spec import JobSpec, checked_grace_period, checked_timeout
from worker.state import Chunk, JobStatus

PATIENCE: Final = 60.0  # seconds without progress
SHORT_PATIENCE: Final = 5.0  # of a question whose answer is short
ANSWER_TIME: Final = 10.0  # seconds past the deadline of a wait
LONGEST_WAIT: Final = 60.0  # seconds, of one call: a wait for days is many of them
LARGEST_START: Final = 256 * 1024  # bytes: the contract's limit, said before it is sent


class Client:
    """Gives the same `Job` as a Registry in process.

    Entering it connects, once: a SetupError says what must be mended, Unavailable that the server
    can't be reached now. A connection that breaks later is made again and the request goes on,
    until there has been no progress for `patience` seconds (see `resume`); `status` and `stop`,
    whose answers are short, wait 5 at most. 0: the first failure is raised.
    """

    def __init__(self, config: ClientConfig, *, patience: float = PATIENCE) -> None:
        self._config = config
        self._patience = patience

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
        InvalidRequest, JobExists, NoRoom; after Unavailable, or if it is cancelled, the job may
        have been started: who has chosen `job_id` can ask.
        """
        chosen = job_id or uuid4()
        asked = start_request(spec, chosen)
        if (size := len(bytes(asked))) > LARGEST_START:
            raise InvalidRequest(
                f"the request is {size} bytes long; {LARGEST_START} is the most:"
                " put long arguments into a file"
            )
        has_asked = False

        async def start() -> wire.StartResponse:
            nonlocal has_asked
            if has_asked:
                await self._check_idempotent(chosen)
            had_asked, has_asked = has_asked, True
            try:
                with translated():
                    return await self._stub.start(asked)
            except NotTaken:
                has_asked = had_asked
                raise

        try:
            answer = await answered(self._channel, start, self._patience)
        except (SetupError, Unavailable) as error:
            if not has_asked:
                raise
            raise type(error)(f"job {chosen} may have been started, query it: {error}") from error
        return Job(id_in(answer), self)  # the original server chooses its own

    async def _check_idempotent(self, job_id: UUID) -> None:
        """Raise NotBuilt where a second Start with that id would start a second job.

        A server that knows Wait knows ids that the client has chosen, too.
        """
        try:
            with translated():
                await self._stub.wait(wire.WaitRequest(job_id.bytes, timedelta(0)))
        except JobNotFound:
            pass  # it has not been started yet
        # A server over grpclib answers what it doesn't know so that it reads as UNKNOWN.
        except (NotBuilt, InternalError) as error:
            raise NotBuilt(
                "the connection broke during the start, and this server can't tell a second"
                " attempt from a second job: look there whether it runs"
            ) from error

    async def status(self, job_id: UUID) -> JobStatus:
        """See Job.status."""
        asked = wire.QueryStatusRequest(job_id=job_id.bytes)
        answer = await answered(self._channel, lambda: self._stub.query_status(asked), self._short)
        return status_of(answer, job_id)

    async def wait(self, job_id: UUID, timeout: float | None = None) -> JobStatus:
        """See Job.wait."""
        timeout, now = checked_timeout(timeout), asyncio.get_running_loop().time
        deadline = float("inf") if timeout is None else now() + timeout
        until = None if timeout is None else deadline + ANSWER_TIME
        try:
            async with asyncio.timeout_at(until):
                while True:
                    status = await self._waited(job_id, max(0.0, deadline - now()))
                    if status.is_final or now() >= deadline:
                        return status
        except TimeoutError as error:
            raise NoAnswer(f"no answer {ANSWER_TIME:.0f} s after the time-out of wait") from error

    async def _waited(self, job_id: UUID, seconds: float) -> JobStatus:
        """The status once the job is final, or after at most `seconds`."""
        left = timedelta(seconds=min(LONGEST_WAIT, seconds))
        asked = wire.WaitRequest(job_id=job_id.bytes, timeout=left)
        patience = min(self._patience, seconds)
        answer = await answered(self._channel, lambda: self._stub.wait(asked), patience)
        return status_of(answer, job_id)

    async def stop(self, job_id: UUID, *, grace_period: float | None = None) -> None:
        """See Job.stop."""
        asked = wire.StopRequest(job_id=job_id.bytes)
        if grace_period is not None:
            asked.grace_period = timedelta(seconds=checked_grace_period(grace_period))
        await answered(self._channel, lambda: self._stub.stop(asked), self._short)

    async def signal(self, job_id: UUID, name: str, *, leader_only: bool = False) -> None:
        """See Job.signal. Asked once, but for NotTaken: another attempt could send it twice."""
        asked = signal_request(job_id, name, leader_only=leader_only)
        await answered(self._channel, lambda: self._stub.signal(asked), 0)

    async def send_input(
        self, job_id: UUID, chunks: AsyncIterable[bytes], *, end: bool = True
    ) -> int:
        """See Job.send_input."""
        return await Sending(self._channel, job_id).send(chunks, self._patience, end=end)

    async def remove(self, job_id: UUID) -> None:
        """See Job.remove. Asked once, but for NotTaken: a second attempt would find it removed."""
        asked = wire.RemoveRequest(job_id=job_id.bytes)
        await answered(self._channel, lambda: self._stub.remove(asked), 0)

    async def page(self, which: JobFilter, *, limit: int = ON_A_PAGE, token: str = "") -> Page:
        """See Registry.page."""
        asked = list_request(which, limit, token)
        answer = await answered(self._channel, lambda: self._stub.list(asked), self._short)
        jobs = tuple(status_of(job, id_in(job)) for job in answer.jobs)
        return Page(jobs, answer.next_page_token)

    def list(self, which: JobFilter = ALL_JOBS) -> AsyncGenerator[JobStatus, None]:
        """See Registry.list."""
        return all_pages(self, which)

    async def find(self, id_prefix: str) -> Job:
        """See Registry.find."""
        return Job(await only_one(self, id_prefix), self)

    def watch(
        self, job_id: UUID | None = None, *, since: int = 0
    ) -> AsyncGenerator[JobStatus, None]:
        """See Registry.watch. Over a connection that breaks it goes on where it was."""
        return watched(self._channel, job_id, since, self._patience)

    @property
    def _short(self) -> float:
        return min(SHORT_PATIENCE, self._patience)

    def output(self, job_id: UUID, **options: Any) -> AsyncGenerator[Chunk, None]:
        """See Job.output."""
        selection = Selection(**options)
        ask = partial(attempted, self._channel, job_id)
        return continued(self._channel, job_id, ask, selection, self._patience)
