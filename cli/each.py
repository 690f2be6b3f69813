"""Several jobs on one command line: what fails for one keeps nothing from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import typer

from cli.flow import Flow
from cli.naming import id_of
from cli.statuses import exit_status
from worker.client import Client
from worker.errors import JobError, Unauthenticated, Unavailable


@dataclass
class Failures:
    """Each is said at once; the first one's is the exit status."""

    flow: Flow = field(default_factory=Flow)
    first: JobError | None = None

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """What would fail for the other jobs, too, is raised."""
        try:
            yield
        except (Unauthenticated, Unavailable):
            raise
        except JobError as error:
            self.first = self.first or error
            await self.flow.say(str(error))

    def end(self) -> None:
        if self.first:
            raise typer.Exit(exit_status(self.first))


async def each(
    client: Client, digits: list[str], do: Callable[[UUID], Awaitable[None]], failures: Failures
) -> None:
    """In turn, to each job once, however often and by whatever digits it is named."""
    # All of them first: once a job is removed, its digits name another.
    named = [await _named(client, one) for one in digits]
    for job in dict.fromkeys(named):
        async with failures.told():
            if isinstance(job, JobError):
                raise job
            await do(job)


async def _named(client: Client, digits: str) -> UUID | JobError:
    try:
        return await id_of(client, digits)
    except (Unauthenticated, Unavailable):  # so it would be with the others
        raise
    except JobError as error:
        return error
