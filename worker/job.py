"""The handle of a job: the same for a Registry in this process and for a Client of a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from worker.state import Chunk, JobStatus


class Jobs(Protocol):
    """Where jobs live: `Registry` or `Client`."""

    async def status(self, job_id: UUID) -> JobStatus: ...

    def output(
        self, job_id: UUID, *, offset: int = 0, follow: bool = True, tagged: bool = False
    ) -> AsyncGenerator[Chunk, None]: ...

    async def wait(self, job_id: UUID, timeout: float | None = None) -> JobStatus: ...

    async def stop(self, job_id: UUID, *, grace_period: float | None = None) -> None: ...

    async def remove(self, job_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    id: UUID
    jobs: Jobs

    async def status(self) -> JobStatus:
        """The job at this moment. Raises JobNotFound once it has been removed."""
        return await self.jobs.status(self.id)

    def output(
        self, *, offset: int = 0, follow: bool = True, tagged: bool = False
    ) -> AsyncGenerator[Chunk, None]:
        """Every byte from `offset` on, live; ends when the job has ended and all is read.

        Without `follow` it ends where the output ends now. `tagged` chunks tell their stream
        and time. Who leaves it early closes it: `aclosing`. Raises OutOfRange for an offset beyond
        the output of a final job, Incomplete where the output breaks off.
        """
        return self.jobs.output(self.id, offset=offset, follow=follow, tagged=tagged)

    async def wait(self, timeout: float | None = None) -> JobStatus:
        """The status once the job is final, or after `timeout` seconds, whichever comes first."""
        return await self.jobs.wait(self.id, timeout)

    async def stop(self, *, grace_period: float | None = None) -> None:
        """Ask the whole tree to end; return when that is recorded, not when it is done.

        SIGTERM now, SIGKILL after `grace_period` seconds (0: at once; None: what the job was
        started with). A job that has ended is left alone. A second stop may only shorten.
        """
        await self.jobs.stop(self.id, grace_period=grace_period)

    async def remove(self) -> None:
        """Forget a job that has ended, with its output. Raises NotNow while it runs.

        Its id isn't free again: to start something else under it is JobExists.
        """
        await self.jobs.remove(self.id)
