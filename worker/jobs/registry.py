"""The registry: the jobs of one state directory, for a program or behind a server."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from asyncio import TaskGroup
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

from worker.errors import InvalidRequest, JobExists, Unavailable
from worker.job import Job
from worker.jobs.environment import User
from worker.jobs.follow import followed
from worker.jobs.keeper_client import Event, KeeperClient
from worker.jobs.keeper_process import keeper_of, locked
from worker.jobs.orphans import end_orphans
from worker.jobs.recovery import end, reconcile
from worker.jobs.request import digest_of, spawn_of
from worker.jobs.roster import Roster, keeper_lost
from worker.jobs.store import Store
from worker.keeper.messages import Leave
from worker.spec import JobSpec, checked_grace_period
from worker.state import Chunk, JobStatus

OUTPUT_CAP: Final = 2**30
_KILL_S: Final = 10.0  # for what doesn't go even by SIGKILL

log = logging.getLogger(__name__)


class Registry:
    """Runs jobs, and remembers all that ever ran in `directory`.

        async with Registry("state") as registry:
            job = await registry.start("ls", "-la")

    At the end of the block the jobs that still run are stopped with their grace period and
    recorded; cancelled while it waits for that, it kills them. If the keeper, the process that
    holds the jobs, dies, whoever waits gets KeeperLost, and the next Registry says which jobs
    were lost. Entering raises StateInUse, BadState, SetupError.

    A server passes the socket to the `keeper` whose child it is: then jobs outlive the block.
    `output_cap`: bytes of output and index that are kept of each job.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keeper: socket.socket | None = None,
        output_cap: int = OUTPUT_CAP,
    ) -> None:
        self._directory = Path(directory).absolute()
        self._connection = keeper
        self._output_cap = output_cap
        self._user = User.current()
        self._lifetime = AsyncExitStack()
        self._leaving = asyncio.Event()
        self._gone = asyncio.Event()
        self._parts: tuple[Roster, KeeperClient] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._lifetime = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is KeyboardInterrupt:  # asyncio.run cancels us at the first Ctrl-C: it's the second
            self._hurry()
        # Without the error: a TaskGroup would wrap it, and our user's exceptions are his own.
        await self._lifetime.aclose()

    async def start(self, command: str, *arguments: str, **options: Any) -> Job:
        """Start `command`; `options` are the other fields of JobSpec. Raises as `submit`."""
        return await self.submit(JobSpec(command, arguments, **options))

    async def submit(self, spec: JobSpec, *, job_id: UUID | None = None, owner: str = "") -> Job:
        """Return when execve(2) has succeeded. The same id and request again: the same job.

        Raises CannotExecute, NoRoom, JobExists (another request has that id), Unavailable.
        Cancelled, the start goes on.
        """
        roster, _ = self._open_parts()
        if self._gone.is_set():
            raise keeper_lost()
        if self._leaving.is_set():
            raise Unavailable("no job is started any more: the keeper is leaving")
        job_id = job_id or uuid4()
        request = spawn_of(spec, job_id, owner, self._user, self._output_cap)
        known = roster.digest(job_id)
        if known not in {None, digest_of(request)}:
            raise JobExists(f"another request was started as {job_id}: choose a new id")
        job = roster.start(request) if known is None else roster.find(job_id)
        await job.wait_started()
        return Job(job_id, self)

    async def status(self, job_id: UUID) -> JobStatus:
        """Raises JobNotFound; KeeperLost for a job that nobody can tell of any more."""
        job = self._open_parts()[0].find(job_id)
        if job.status.is_final:
            return job.status
        output = await job.tally.sizes()
        job.check()
        return job.status if job.status.is_final else replace(job.status, output=output)

    async def wait(self, job_id: UUID, timeout: float | None = None) -> JobStatus:
        """As Job.wait."""
        job = self._open_parts()[0].find(job_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await job.wait_final()
        return job.status if job.status.is_final else await self.status(job_id)

    def output(
        self, job_id: UUID, *, offset: int = 0, follow: bool = True, tagged: bool = False
    ) -> AsyncGenerator[Chunk, None]:
        """As Job.output; a chunk has at most 256 KiB. Raises JobNotFound at once."""
        if offset < 0:
            raise InvalidRequest("offset is negative")
        job = self._open_parts()[0].find(job_id)
        return followed(job, offset=offset, follow=follow, tagged=tagged)

    async def stop(self, job_id: UUID, *, grace_period: float | None = None, by: str = "") -> None:
        """As Job.stop; `by` is recorded."""
        if grace_period is not None:
            checked_grace_period(grace_period)
        roster, _ = self._open_parts()
        job = roster.find(job_id)
        if not job.status.is_final:
            await roster.stop(job, grace_period, by)

    def ready(self, shutdown_grace: float) -> None:
        """Tell the keeper that its server serves, and how many seconds jobs have at the end."""
        self._open_parts()[1].ready(shutdown_grace)

    async def wait_leaving(self) -> None:
        """Until the keeper asks its server to drain; nothing is started from then on."""
        await self._leaving.wait()

    async def wait_keeper_gone(self) -> bool:
        """Until its socket is at its end; True if it had said that it leaves."""
        await self._gone.wait()
        return self._leaving.is_set()

    def _open_parts(self) -> tuple[Roster, KeeperClient]:
        if self._parts is None:
            raise Unavailable("this Registry is not open")
        return self._parts

    async def _open(self, stack: AsyncExitStack) -> None:
        connection, state = self._connection, self._directory
        if connection is None:
            descriptor = await locked(state)
            stack.callback(os.close, descriptor)
        store = Store(state / "jobs.db")
        stack.callback(store.close)
        if connection is None:
            connection = await stack.enter_async_context(keeper_of(state, descriptor))
        keeper = await stack.enter_async_context(KeeperClient.over(connection))
        listed = await keeper.hello()
        group = TaskGroup()
        roster = Roster(state / "jobs", store, keeper, group)
        stack.callback(roster.close)
        await group.__aenter__()
        stack.push_async_callback(group.__aexit__, None, None, None)
        self._parts = roster, keeper
        stack.callback(self._close)
        rest = reconcile(roster, store, listed)
        listening = group.create_task(self._listen(roster, keeper))
        stack.callback(listening.cancel)
        await end(roster, rest, keeper.epoch)
        if self._connection is None:
            stack.push_async_callback(self._kill, keeper)  # if _leave is cut short, wherever
            stack.push_async_callback(self._leave, keeper)

    def _close(self) -> None:
        self._parts = None

    async def _listen(self, roster: Roster, keeper: KeeperClient) -> None:
        def heed(event: Event) -> None:
            if isinstance(event, Leave):
                self._leaving.set()
            else:
                roster.heed(event)

        try:
            await keeper.listen(heed)
            if not self._leaving.is_set():
                log.error("the keeper ended unexpectedly, and with it the jobs that ran")
                await asyncio.to_thread(end_orphans, self._directory)
            roster.keeper_gone()
        finally:
            self._gone.set()

    async def _leave(self, keeper: KeeperClient) -> None:
        self._leaving.set()
        keeper.leave()
        await self._gone.wait()

    async def _kill(self, keeper: KeeperClient) -> None:
        if not keeper.is_gone:
            self._hurry()
            with suppress(TimeoutError):
                async with asyncio.timeout(_KILL_S):
                    await self._gone.wait()

    def _hurry(self) -> None:
        if self._parts and self._connection is None:
            roster, keeper = self._parts
            keeper.leave()  # first, as that is the cause
            roster.kill_all()
