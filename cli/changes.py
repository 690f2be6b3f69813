"""What `ls --watch` goes on with: changes of the jobs that were asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from uuid import UUID

from worker.client import Client
from worker.errors import NotNow
from worker.state import JobStatus


async def changes_among(
    client: Client, fits: Callable[[JobStatus], bool], since: int, shown: set[UUID]
) -> AsyncGenerator[JobStatus, None]:
    """Of those that fit; and of one that is `shown` the change after which it doesn't any more."""
    async with aclosing(_changes(client, since)) as changes:
        async for job in changes:
            does_fit = fits(job)
            if does_fit or job.id in shown:
                yield job
            if does_fit and not job.removed:
                shown.add(job.id)
            else:
                shown.discard(job.id)


async def _changes(client: Client, since: int) -> AsyncGenerator[JobStatus, None]:
    """From the start where the server has forgotten what was removed since: only that is missed."""
    begin = since
    while True:
        try:
            async with aclosing(client.watch(since=begin)) as changes:
                async for job in changes:
                    if job.revision > since:
                        since = job.revision
                        yield job
        except NotNow:
            if not begin:
                raise
            begin = 0
        else:
            return
