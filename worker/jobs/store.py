"""The index of all jobs, in SQLite: what was asked, and what became of it.

The folders are the truth, this table finds it fast. So WAL with synchronous=NORMAL is enough:
a kill -9 loses nothing, as the pages are the kernel's by then, and what a power cut takes is
read from the folders at the next start.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from worker.errors import InternalError, NoRoom
from worker.jobs.clock import us_of, utc
from worker.jobs.request import digest_of
from worker.jobs.schema import opened
from worker.keeper.frames import checked, to_json
from worker.keeper.messages import Spawn
from worker.state import FINAL, NEXT, Cause, JobState, JobStatus, Outcome, OutputSize

_ADD: Final = """
INSERT INTO jobs (id, epoch, digest, request, state)
VALUES (:id, :epoch, :digest, :request, :state)
"""
_SAVE: Final = """
UPDATE jobs SET state = :state, started_us = :started_us, leader_exited_us = :leader_exited_us,
    ended_us = :ended_us, outcome = :outcome, exit_code = :exit_code, signal = :signal,
    cause = :cause, reason = :reason, stopped_by = :stopped_by,
    stdout = :stdout, stderr = :stderr, merged = :merged, dropped = :dropped
WHERE id = :id AND state IN (SELECT value FROM json_each(:before))
"""
_UNFINISHED: Final = """
SELECT * FROM jobs WHERE state NOT IN (SELECT value FROM json_each(?))
"""
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM})


@dataclass(frozen=True, slots=True)
class Row:
    """`epoch` is that of the keeper which was asked first: no later one may start the job."""

    request: Spawn
    epoch: str
    status: JobStatus

    @classmethod
    def of(cls, request: Spawn, epoch: str) -> Self:
        status = JobStatus(
            id=UUID(request.job),
            command=request.command,
            arguments=tuple(request.arguments),
            state=JobState.STARTED,
            owner=request.owner,
            labels=request.labels,
            created_at=utc(request.created_us),
        )
        return cls(request, epoch, status)


class Store:
    def __init__(self, path: Path) -> None:
        """Raises BadState for a file that can't be used; one that isn't ours is put aside."""
        self._database = opened(path)

    def close(self) -> None:
        self._database.close()

    def add(self, row: Row) -> None:
        """Raises NoRoom on a full disk, and leaves nothing then."""
        values = {
            "id": row.request.job,
            "epoch": row.epoch,
            "digest": digest_of(row.request),
            "request": to_json(row.request).decode(),
            "state": row.status.state,
        }
        with _translated():
            self._database.execute(_ADD, values)

    def save(self, status: JobStatus) -> None:
        """Record what has changed. A step that NEXT doesn't have is a fault of ours."""
        before = [state for state in NEXT if status.state in NEXT[state]]
        values = {"id": str(status.id), "before": json.dumps(before), **_columns_of(status)}
        with _translated():
            done = self._database.execute(_SAVE, values)
        if done.rowcount != 1:
            raise InternalError(f"job {status.id} can't become {status.state} now")

    def remove(self, job_id: UUID) -> None:
        """Forget a job that was never started."""
        with _translated():
            self._database.execute("DELETE FROM jobs WHERE id = ?", [str(job_id)])

    def find(self, job_id: UUID) -> Row | None:
        with _translated():
            found = self._database.execute("SELECT * FROM jobs WHERE id = ?", [str(job_id)])
            row = found.fetchone()
        return None if row is None else _row_of(row)

    def digest(self, job_id: UUID) -> bytes | None:
        """Of the request; None for a job that isn't known."""
        with _translated():
            found = self._database.execute("SELECT digest FROM jobs WHERE id = ?", [str(job_id)])
            row = found.fetchone()
        return None if row is None else bytes(row["digest"])

    def ids(self) -> set[str]:
        with _translated():
            return {row["id"] for row in self._database.execute("SELECT id FROM jobs")}

    def unfinished(self) -> list[Row]:
        """Those that aren't final, as far as this table knows."""
        with _translated():
            found = self._database.execute(_UNFINISHED, [json.dumps(list(FINAL))])
            return [_row_of(row) for row in found]


def _columns_of(status: JobStatus) -> dict[str, object]:
    return {
        "state": status.state,
        "started_us": us_of(status.started_at),
        "leader_exited_us": us_of(status.leader_exited_at),
        "ended_us": us_of(status.ended_at),
        "outcome": status.outcome,
        "exit_code": status.exit_code,
        "signal": status.signal,
        "cause": status.cause,
        "reason": _printable(status.reason),
        "stopped_by": None if status.stopped_by is None else _printable(status.stopped_by),
        "stdout": status.output.stdout,
        "stderr": status.output.stderr,
        "merged": status.output.merged,
        "dropped": status.output.dropped,
    }


def _row_of(row: sqlite3.Row) -> Row:
    request = checked(Spawn, json.loads(row["request"]))
    asked = Row.of(request, row["epoch"])
    status = replace(
        asked.status,
        state=JobState(row["state"]),
        started_at=utc(row["started_us"]),
        leader_exited_at=utc(row["leader_exited_us"]),
        ended_at=utc(row["ended_us"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        exit_code=row["exit_code"],
        signal=row["signal"],
        cause=None if row["cause"] is None else Cause(row["cause"]),
        reason=row["reason"],
        stopped_by=row["stopped_by"],
        output=OutputSize(row["stdout"], row["stderr"], row["merged"], row["dropped"]),
    )
    return replace(asked, status=status)


def _printable(text: str) -> str:
    """A path that isn't UTF-8 may stand in a reason; SQLite takes only what is."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = NoRoom if code in _FULL else InternalError
        raise kind(f"jobs.db: {error}") from error
