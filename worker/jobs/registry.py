"""The registry: the jobs of one state directory, for a program or behind a server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from worker.errors import InternalError, Unavailable
from worker.job import Job
from worker.jobs import control
from worker.jobs.directory import check_there
from worker.jobs.environment import User
from worker.jobs.follow import followed
from worker.jobs.keeper_client import keeper_lost
from worker.jobs.request import OUTPUT_CAP, spawn_of
from worker.jobs.retention import DEFAULT_RETENTION, Retention
from worker.jobs.session import Session
from worker.jobs.threads import HOMES, start_all
from worker.jobs.tracked import TrackedJob
from worker.jobs.watch import page_of, watched
from worker.keeper.messages import Spawn
from worker.limits import NO_LIMITS, Limits
from worker.listing import ALL_JOBS, ON_A_PAGE, JobFilter, Page, all_pages, only_one
from worker.selection import Selection
from worker.spec import JobSpec, checked_grace_period, checked_timeout
from worker.state import Chunk, JobStatus


class Registry:
    """Runs jobs in `directory`, and remembers them for as long as `retention` says.

        async with Registry("state") as registry:
            job = await registry.start("ls", "-la")

    At the end of the block the jobs that still run are stopped with their grace period and
    recorded; cancelled while it waits for that, it kills them. If the keeper, the process that
    holds the jobs, dies, whoever waits gets KeeperLost, and the next Registry says which jobs
    were lost. Entering raises StateInUse, BadState, SetupError.

    A server passes the socket to the `keeper` whose child it is: then jobs outlive the block.
    `output_cap`: bytes of output and index that are kept of each job. `job_user`: whom they run as
    unless their spec says otherwise, None: as this program. Another user needs root.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keeper: socket.socket | None = None,
        output_cap: int = OUTPUT_CAP,
        retention: Retention = DEFAULT_RETENTION,
        job_user: str | None = None,
    ) -> None:
        self._directory = Path(directory).absolute()
        self._connection = keeper
        self._limits = Limits(output=output_cap)
        self._retention = retention
        self._user = User.current() if job_user is None else User.named(job_user)
        self._lifetime = AsyncExitStack()
        self._last_session: Session | None = None

    async def __aenter__(self) -> Self:
        start_all()
        opened = Session.opened(self._directory, self._connection, self._retention)
        self._last_session = await self._lifetime.enter_async_context(opened)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is KeyboardInterrupt:  # asyncio.run cancels us at the first Ctrl-C: it's the second
            self._hurry()
        await self._lifetime.aclose()

    async def start(self, command: str, *arguments: str, **options: Any) -> Job:
        """Start `command`; `options` are the other fields of JobSpec. Raises as `submit`."""
        return await self.submit(JobSpec(command, arguments, **options))

    async def submit(
        self,
        spec: JobSpec,
        *,
        job_id: UUID | None = None,
        owner: str = "",
        defaults: Limits = NO_LIMITS,
    ) -> Job:
        """Return when execve(2) has succeeded. The same id and request again: the same job.

        `defaults`: limits where `spec` has none; they aren't part of the request.

        Raises CannotExecute, NoRoom, JobExists (another request has that id), Unavailable.
        Cancelled, a start that the keeper has been asked for goes on.
        """
        job_id = job_id or uuid4()
        limits = defaults.or_else(self._limits)
        request = await HOMES.run(self._request, spec, job_id, owner, limits)
        session = self._session()
        if session.gone.is_set():
            raise keeper_lost()
        if session.leaving.is_set():
            raise Unavailable("no job is started any more: the keeper is leaving")
        roster = session.roster
        job = roster.find(job_id) if roster.knows(request) else roster.start(request)
        try:
            await job.wait_started()
        except InternalError:
            check_there(self._directory)
            raise
        return Job(job_id, self)

    async def status(self, job_id: UUID) -> JobStatus:
        """Raises JobNotFound; KeeperLost for a job that nobody can tell of any more."""
        return await self._session().roster.find(job_id).current_status()

    async def wait(self, job_id: UUID, timeout: float | None = None) -> JobStatus:
        """As Job.wait."""
        job = self._session().roster.find(job_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(checked_timeout(timeout)):
                await job.wait_final()
        return await job.current_status()

    def output(self, job_id: UUID, **options: Any) -> AsyncGenerator[Chunk, None]:
        """As Job.output; a chunk has at most 64 KiB. Raises JobNotFound at once.

        An empty chunk tells only how far it has come: in other streams, or where a tail begins.
        """
        return self.selected(job_id, Selection(**options))

    def selected(self, job_id: UUID, selection: Selection) -> AsyncGenerator[Chunk, None]:
        """The same, of what was checked before."""
        roster = self._session().roster
        roster.find(job_id)
        return followed(roster.watching(job_id), selection)

    def watching(self, job_id: UUID) -> AbstractContextManager[TrackedJob]:
        """For who asks more than once: retention leaves the job alone meanwhile.

        What it gives stays true also if somebody removes the job. Entering raises JobNotFound.
        """
        return self._session().roster.watching(job_id)

    async def stop(self, job_id: UUID, *, grace_period: float | None = None, by: str = "") -> None:
        """As Job.stop; `by` is recorded."""
        if grace_period is not None:
            checked_grace_period(grace_period)
        roster = self._session().roster
        job = roster.find(job_id)
        if not job.status.is_final:
            await roster.stop(job, grace_period, by)

    async def signal(self, job_id: UUID, name: str, *, leader_only: bool = False) -> None:
        """As Job.signal."""
        session = self._session()
        job = session.roster.find(job_id)
        await control.signal(session.keeper, job, name, leader_only=leader_only)

    async def send_input(
        self, job_id: UUID, chunks: AsyncIterable[bytes], *, end: bool = True
    ) -> int:
        """As Job.send_input."""
        session = self._session()
        return await control.send_input(
            session.keeper, session.roster.find(job_id), chunks, end=end
        )

    async def take_input(self, job_id: UUID, offset: int, data: bytes, *, end: bool = False) -> int:
        """One piece for a job's stdin; see `control.take_input`."""
        session = self._session()
        job = session.roster.find(job_id)
        return await control.take_input(session.keeper, job, offset, data, end=end)

    async def page(self, which: JobFilter, *, limit: int = ON_A_PAGE, token: str = "") -> Page:
        """Newest first; see Page. Raises InvalidRequest for a limit or token that can't be."""
        return await page_of(self._session(), which, limit, token)

    def list(self, which: JobFilter = ALL_JOBS) -> AsyncGenerator[JobStatus, None]:
        """All jobs that fit, newest first."""
        return all_pages(self, which)

    async def find(self, id_prefix: str) -> Job:
        """By the beginning of its id. Raises JobNotFound; InvalidRequest where several fit."""
        return Job(await only_one(self, id_prefix), self)

    def watch(
        self, job_id: UUID | None = None, *, since: int = 0
    ) -> AsyncGenerator[JobStatus, None]:
        """Each job's latest state, in order of revision: all that changed after revision `since`.

        Of one job it ends with its final state, or its removal; of all jobs it goes on. Raises
        NotNow where changes since then may have been forgotten: begin again with 0. Raises
        KeeperLost, or Unavailable at the end of the block, once nobody tells of jobs any more.
        """
        return watched(self._session(), job_id, since)

    async def remove(self, job_id: UUID, *, by: str = "") -> None:
        """As Job.remove; `by` is told to those who ask for the job later."""
        await self._session().removal.remove(job_id, by)

    def ready(self, shutdown_grace: float) -> None:
        """Tell the keeper that its server serves, and how many seconds jobs have at the end."""
        self._session().keeper.ready(shutdown_grace)

    def left(self) -> None:
        """Tell the keeper that nothing more is asked of it: a server that drains has drained."""
        self._session().keeper.leave()

    async def wait_leaving(self) -> None:
        """Until the keeper asks its server to drain; nothing is started from then on."""
        await self._session().leaving.wait()

    async def wait_keeper_gone(self) -> bool:
        """Until its socket is at its end; True if it had said that it leaves."""
        session = self._session()
        await session.gone.wait()
        return session.leaving.is_set()

    def _request(self, spec: JobSpec, job_id: UUID, owner: str, defaults: Limits) -> Spawn:
        user = self._user if spec.user is None else User.named(spec.user)
        return spawn_of(spec, job_id, owner, user, defaults)

    def _session(self) -> Session:
        if self._last_session is None or not self._last_session.is_open:
            raise Unavailable("this Registry is not open")
        return self._last_session

    def _hurry(self) -> None:
        if self._last_session and self._connection is None:
            self._last_session.hurry()
