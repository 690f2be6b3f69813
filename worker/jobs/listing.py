"""Rows by what they are about: pages of a list, and what has changed since a revision.

A page looks at a bounded number of rows and bytes, so that a question that few jobs answer
doesn't hold up everybody else; who asks goes on with the token.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from worker.errors import InternalError, InvalidRequest
from worker.jobs.clock import utc
from worker.jobs.row import Row
from worker.jobs.schema import translated
from worker.listing import JobFilter
from worker.state import FINAL, JobState, JobStatus

LOOKED_AT: Final = 2000  # rows, some 10 ms
LARGEST: Final = 512 * 1024  # bytes of requests looked at: one more has at most 2 MiB
_LAST_PLACE: Final = (2**62, "g")  # before the newest; ids are hexadecimal
_NEWEST: Final = """
SELECT * FROM jobs WHERE (created_us, id) < (?, ?)
ORDER BY created_us DESC, id DESC LIMIT ?
"""
# The + keeps SQLite from walking through all jobs in order of time: few are meant here.
_UNFINISHED: Final = """
SELECT * FROM jobs WHERE final_s IS NULL AND (+created_us, id) < (?, ?)
ORDER BY +created_us DESC, id DESC LIMIT ?
"""
_BY_ID: Final = """
SELECT * FROM jobs WHERE id >= ? AND id < ? AND (+created_us, +id) < (?, ?)
ORDER BY +created_us DESC, +id DESC LIMIT ?
"""
_CHANGED: Final = "SELECT * FROM {table} WHERE revision > ? ORDER BY revision LIMIT 1"
_CHANGED_ONE: Final = "SELECT * FROM {table} WHERE revision > ? AND id = ?"


@dataclass(frozen=True, slots=True)
class RowPage:
    rows: tuple[Row, ...]
    next_token: str


class Listing:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def page(self, which: JobFilter, limit: int, token: str) -> RowPage:
        """Newest first. Raises InvalidRequest for a token that isn't ours."""
        rows: list[Row] = []
        size = 0
        for looked_at, found in enumerate(self._newest(which, _place_of(token)), 1):
            place = found["created_us"], found["id"]
            size += len(found["request"])
            if _fits(found, which):
                rows.append(Row.read(found))
            if looked_at == LOOKED_AT or len(rows) == limit or size > LARGEST:
                return RowPage(tuple(rows), _token_of(place))
        return RowPage(tuple(rows), "")

    def _newest(self, which: JobFilter, place: tuple[int, str]) -> Iterator[sqlite3.Row]:
        ends: tuple[str, ...] = ()
        if which.id_prefix:
            question, ends = _BY_ID, (which.id_prefix, which.id_prefix + "g")
        elif which.states and not which.states & FINAL:
            question = _UNFINISHED
        else:
            question = _NEWEST
        with translated():
            yield from self._database.execute(question, (*ends, *place, LOOKED_AT))

    def changed(self, since: int, job_id: UUID | None = None) -> JobStatus | None:
        """The first after revision `since`, of one job or of all. Not several: each may be long."""
        question, which = (_CHANGED, ()) if job_id is None else (_CHANGED_ONE, (str(job_id),))
        with translated():
            row, tombstone = (
                self._database.execute(question.format(table=table), (since, *which)).fetchone()
                for table in ("jobs", "tombstones")
            )
        if row and not (tombstone and tombstone["revision"] < row["revision"]):
            return Row.read(row).status
        return _removed(tombstone) if tombstone else None


def _removed(row: sqlite3.Row) -> JobStatus:
    """What is left to say of it."""
    return JobStatus(
        id=UUID(row["id"]),
        command="",
        arguments=(),
        state=JobState(row["state"]),
        created_at=utc(row["created_us"]),
        reason=f"removed {row['how']}".rstrip(),
        revision=row["revision"],
        removed=True,
    )


def _fits(row: sqlite3.Row, which: JobFilter) -> bool:
    if which.states and row["state"] not in which.states:
        return False
    if not (which.owner or which.labels):
        return True
    try:
        request = json.loads(row["request"])
        has_owner = not which.owner or request["owner"] == which.owner
        has_labels: bool = which.labels.items() <= request["labels"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InternalError(f"job {row['id']}: its row can't be read: {error}") from error
    return has_owner and has_labels


def _token_of(place: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _place_of(token: str) -> tuple[int, str]:
    if not token:
        return _LAST_PLACE
    try:
        match json.loads(base64.b64decode(token, b"-_", validate=True)):
            case [int(created_us), str(job_id)] if abs(created_us) < 2**62:
                return created_us, str(UUID(job_id))
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise InvalidRequest("pageToken is none that this server has given")
