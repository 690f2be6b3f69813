"""Statuses of many jobs: a page of them, and what changes from now on.

A watcher is only a revision: it reads what is newer, row by row, and waits for more. There is no
queue, so a slow one costs nothing, and is told each job's latest state, not each passing one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from operator import attrgetter
from uuid import UUID

from worker.errors import InvalidRequest, JobError, JobNotFound
from worker.jobs.session import Session
from worker.listing import MOST_ON_A_PAGE, JobFilter, Page
from worker.state import JobStatus


async def page_of(session: Session, which: JobFilter, limit: int, token: str) -> Page:
    """See Registry.page."""
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise InvalidRequest(f"limit must be 1 to {MOST_ON_A_PAGE}, not {limit}")
    found = session.store.listing.page(which, limit, token)
    statuses = [await _with_output(session, row.status) for row in found.rows]
    return Page(tuple(statuses), found.next_token)


async def watched(
    session: Session, job_id: UUID | None, since: int
) -> AsyncGenerator[JobStatus, None]:
    """See Registry.watch."""
    revisions = session.store.revisions
    revisions.check(since)
    # Who was told of a job before is told that it has been removed meanwhile.
    if job_id is not None and not (since and _changed(session, job_id, since)):
        session.roster.find(job_id)  # raises JobNotFound
    known = since or revisions.last  # who begins with 0 was told of nothing that has gone by now
    while True:
        session.check_open()
        revisions.check(max(since, known))
        reached = revisions.last
        status = _changed(session, job_id, since)
        if status is None:
            if job_id is not None and _is_over(session, job_id):
                return
            session.check_heard()
            since = max(since, reached)
            await revisions.wait_told()
            continue
        since = status.revision
        latest = await _with_output(session, status)
        if latest.revision == since:  # else it has changed meanwhile, and is told in its turn
            yield latest
            await asyncio.sleep(0)  # who never waits must not hold up the rest


def _changed(session: Session, job_id: UUID | None, since: int) -> JobStatus | None:
    """The first change after that, recorded or not."""
    unrecorded = (
        status
        for status in session.store.unrecorded
        if status.revision > since and job_id in (None, status.id)
    )
    recorded = session.store.listing.changed(since, job_id)
    return min(filter(None, (recorded, *unrecorded)), key=attrgetter("revision"), default=None)


def _is_over(session: Session, job_id: UUID) -> bool:
    """Nothing more will be told of it, but that it was removed. Raises why nobody can tell."""
    try:
        job = session.roster.find(job_id)
    except JobNotFound:
        return True
    job.check()
    return job.status.is_final


async def _with_output(session: Session, status: JobStatus) -> JobStatus:
    """What a job that runs has printed so far stands in no row.

    One that nobody can tell of any more costs neither a list nor a watcher.
    """
    if status.is_final or status.removed:
        return status
    with suppress(JobError):
        return await session.roster.find(status.id).current_status()
    return status
