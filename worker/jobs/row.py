"""A job as a row of jobs.db: what was asked for, as JSON, and in columns what became of it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from worker.errors import InternalError
from worker.jobs.clock import us_of, usage_of, usage_us, utc
from worker.jobs.request import digest_in, enforced_in
from worker.keeper.frames import BadFrame, checked, to_json
from worker.keeper.messages import Spawn
from worker.state import Cause, JobState, JobStatus, Outcome, OutputSize


@dataclass(frozen=True, slots=True)
class Row:
    """`epoch` is that of the keeper which was asked first: no later one may start the job.

    `size`: bytes of its files, for a job that is final.
    """

    request: Spawn
    epoch: str
    status: JobStatus
    size: int = 0

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
            limits=enforced_in(request),
        )
        return cls(request, epoch, status)

    @classmethod
    def read(cls, row: sqlite3.Row) -> Self:
        """Raises InternalError for one that nobody of us wrote."""
        try:
            return cls._read(row)
        except (BadFrame, ValueError, TypeError, OverflowError) as error:
            raise InternalError(f"job {row['id']}: its row can't be read: {error}") from error

    @classmethod
    def _read(cls, row: sqlite3.Row) -> Self:
        request = checked(Spawn, json.loads(row["request"]), is_file=True)
        if request.job != row["id"]:
            raise ValueError(f"the request is of job {request.job}")
        asked = cls.of(request, row["epoch"])
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
            usage=usage_of(row["user_us"], row["system_us"], row["peak_memory"]),
            revision=row["revision"],
        )
        return replace(asked, status=status, size=row["size"])

    def columns(self) -> dict[str, object]:
        return {
            "id": self.request.job,
            "epoch": self.epoch,
            "digest": digest_in(self.request),
            "request": to_json(self.request).decode(),
            "size": self.size,
            "created_us": self.request.created_us,
            **columns_of(self.status),
        }


def columns_of(status: JobStatus) -> dict[str, object]:
    """Those that change."""
    user_us, system_us, peak_memory = usage_us(status.usage)
    return {
        "state": status.state,
        "started_us": us_of(status.started_at),
        "leader_exited_us": us_of(status.leader_exited_at),
        "ended_us": us_of(status.ended_at),
        "outcome": status.outcome,
        "exit_code": status.exit_code,
        "signal": status.signal,
        "cause": status.cause,
        "reason": printable(status.reason),
        "stopped_by": None if status.stopped_by is None else printable(status.stopped_by),
        "stdout": status.output.stdout,
        "stderr": status.output.stderr,
        "merged": status.output.merged,
        "dropped": status.output.dropped,
        "user_us": user_us,
        "system_us": system_us,
        "peak_memory": peak_memory,
        "revision": status.revision,
    }


def printable(text: str) -> str:
    """A path that isn't UTF-8 may stand in a reason; SQLite takes only what is."""
    return text.encode(errors="backslashreplace").decode()
