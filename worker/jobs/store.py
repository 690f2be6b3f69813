"""The index of all jobs, in SQLite: what was asked, and what became of it.

The folders are the truth, this table finds it fast. So WAL with synchronous=NORMAL is enough:
a kill -9 loses nothing, as the pages are the kernel's by then, and what a power cut takes is
read from the folders at the next start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import UUID

from worker.errors import InternalError, JobExists, JobNotFound, NoRoom
from worker.jobs.listing import Listing
from worker.jobs.request import digest_in
from worker.jobs.reserve import Reserve
from worker.jobs.retention import Kept, Total
from worker.jobs.revisions import Revisions
from worker.jobs.row import Row, columns_of
from worker.jobs.schema import opened, transaction, translated
from worker.jobs.service_time import ServiceTime
from worker.jobs.tombstones import Tombstones
from worker.jobs.unrecorded import Unrecorded
from worker.keeper.messages import Spawn
from worker.state import NEXT, JobState, JobStatus

_ADD: Final = """
INSERT INTO jobs (id, epoch, digest, request, state, started_us, leader_exited_us, ended_us,
    outcome, exit_code, signal, cause, reason, stopped_by, stdout, stderr, merged, dropped,
    user_us, system_us, peak_memory, created_us, revision, final_s, size)
VALUES (:id, :epoch, :digest, :request, :state, :started_us, :leader_exited_us, :ended_us,
    :outcome, :exit_code, :signal, :cause, :reason, :stopped_by, :stdout, :stderr, :merged,
    :dropped, :user_us, :system_us, :peak_memory, :created_us, :revision, :final_s, :size)
"""
_SAVE: Final = """
UPDATE jobs SET state = :state, started_us = :started_us, leader_exited_us = :leader_exited_us,
    ended_us = :ended_us, outcome = :outcome, exit_code = :exit_code, signal = :signal,
    cause = :cause, reason = :reason, stopped_by = :stopped_by,
    stdout = :stdout, stderr = :stderr, merged = :merged, dropped = :dropped,
    user_us = :user_us, system_us = :system_us, peak_memory = :peak_memory, revision = :revision,
    final_s = :final_s, size = :size
WHERE id = :id AND state IN (SELECT value FROM json_each(:before))
"""
_WITHOUT_ROW: Final = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM jobs)"
_OLDEST: Final = """
SELECT id, final_s, size FROM jobs WHERE final_s IS NOT NULL ORDER BY final_s, ended_us
"""
_TOTAL: Final = """
SELECT count(*), coalesce(sum(size), 0) FROM jobs WHERE final_s IS NOT NULL
"""
_TOTAL_OF: Final = """
SELECT count(*), coalesce(sum(size), 0) FROM jobs
WHERE final_s IS NOT NULL AND id IN (SELECT value FROM json_each(?))
"""

log = logging.getLogger(__name__)


class Store:
    """`total` is of what is final. `time` is what ages are counted in.

    Each change of a row is given a revision, which its status bears.
    """

    def __init__(self, path: Path) -> None:
        """Raises BadState for a file that can't be used; one that isn't ours is put aside."""
        self._database = opened(path)
        self.is_open = True
        self.unrecorded = Unrecorded()
        self.reserve = Reserve(path.with_name("reserve"), self._database)
        self.time = ServiceTime(self._database)
        self.tombstones = Tombstones(self._database)
        self.revisions = Revisions(self._database)
        self.listing = Listing(self._database)
        self.total = self._total(_TOTAL)

    def close(self) -> None:
        try:
            self.time.keep()
        except (NoRoom, InternalError) as error:  # then jobs look younger than they are
            log.error("the time of this run isn't recorded: %s", error)
        self.is_open = False
        self._database.close()

    def keep_time(self) -> None:
        """To be done now and then: what grows older in the table does so by this."""
        self.reserve.take()
        self.time.keep()
        self.tombstones.drop_old(self.time.now())

    def add(self, *rows: Row) -> list[Row]:
        """As they stand in the table. Raises NoRoom on a full disk, and leaves none of them then.

        One that is final already counts as if it had ended when this run began.
        """
        revised = [replace(row, status=self.revised(row.status)) for row in rows]
        with transaction(self._database):
            for row in revised:
                final_s = self.time.before if row.status.is_final else None
                self.tombstones.lift(row.request.job)
                self._database.execute(_ADD, row.columns() | {"final_s": final_s})
        final = [row.size for row in rows if row.status.is_final]
        self.total = self.total.plus(len(final), sum(final))
        self.revisions.tell()
        return revised

    def revised(self, status: JobStatus) -> JobStatus:
        """A change, to be saved next."""
        return replace(status, revision=self.revisions.next())

    def record(self, status: JobStatus, size: int = 0) -> bool:
        """Save it if that can be done. It is told all the same."""
        try:
            self.save(status, size)
        except (NoRoom, InternalError) as error:
            log.error("job %s: %s isn't recorded: %s", status.id, status.state, error)
            self.unrecorded.keep(status, size)
            self.revisions.tell()
            return False
        return True

    def record_rest(self) -> list[UUID]:
        """What is unrecorded, as far as it can be; the jobs that are final in their rows now."""
        return self.unrecorded.record(self._save)

    def save(self, status: JobStatus, size: int = 0) -> None:
        """Record what has changed. A step that NEXT doesn't have is a fault of ours.

        `size`: bytes of its files, once it is final.
        """
        if not self._save(status, size):
            raise InternalError(f"job {status.id} can't become {status.state} now")
        self.unrecorded.drop(status.id)

    def _save(self, status: JobStatus, size: int) -> bool:
        """False if no row may become that."""
        values = columns_of(status) | {
            "id": str(status.id),
            "before": json.dumps(_before(status.state)),
            "final_s": self.time.now() if status.is_final else None,
            "size": size,
        }
        with translated():
            done = self._database.execute(_SAVE, values)
        if done.rowcount != 1:
            return False
        if status.is_final:
            self.total = self.total.plus(1, size)
        self.revisions.tell()
        return True

    def remove(self, job_id: str) -> None:
        """Forget a row that can't be read, by what stands in place of its id."""
        with translated():
            self._database.execute("DELETE FROM jobs WHERE id = ?", [job_id])

    def bury(self, going: Sequence[tuple[UUID, str]], *, has_run: bool = True) -> None:
        """A tombstone in place of each row, saying how the job went. All or none.

        Of one that has never run, so that its id may be tried again.
        """
        ids = [str(job_id) for job_id, _ in going]

        def replaced() -> Total:
            with transaction(self._database):
                gone = self._total(_TOTAL_OF, json.dumps(ids))
                self.tombstones.add(going, self.time.now(), self.revisions.next, has_run=has_run)
                self._database.executemany("DELETE FROM jobs WHERE id = ?", [[one] for one in ids])
            return gone

        gone = self.reserve.helping(replaced)
        self.total = self.total.plus(-gone.jobs, -gone.size)
        for job_id, _ in going:
            self.unrecorded.drop(job_id)
        self.revisions.tell()

    def find(self, job_id: UUID) -> Row:
        """Raises JobNotFound, which says so if the job was removed."""
        with translated():
            found = self._database.execute("SELECT * FROM jobs WHERE id = ?", [str(job_id)])
            row = found.fetchone()
        if row is None:
            removed = self.tombstones.find(job_id)
            raise JobNotFound(
                f"job {job_id} was {removed}" if removed else f"no job has the id {job_id}"
            )
        return Row.read(row)

    def knows(self, request: Spawn) -> bool:
        """Was it started before? Raises JobExists if its id was another's, or the job is removed.

        So a retry that comes late starts nothing a second time.
        """
        job_id, digest = UUID(request.job), digest_in(request)
        with translated():
            found = self._database.execute("SELECT digest FROM jobs WHERE id = ?", [request.job])
            row = found.fetchone()
        if row is not None:
            if bytes(row["digest"]) != digest:
                raise JobExists(f"another request was started as {job_id}: choose a new id")
            return True
        if removed := self.tombstones.find(job_id):
            which = "the job" if removed.digest == digest else "another request"
            raise JobExists(f"{which} ran as {job_id} and was {removed}: choose a new id")
        return False

    def without_row(self, ids: Sequence[str]) -> list[str]:
        with translated():
            return [row["value"] for row in self._database.execute(_WITHOUT_ROW, [json.dumps(ids)])]

    def unfinished(self) -> list[Row]:
        """Those that aren't final, as far as this table knows."""
        with translated():
            found = self._database.execute("SELECT * FROM jobs WHERE final_s IS NULL")
            return [Row.read(row) for row in found]

    def torn(self) -> list[tuple[str, InternalError]]:
        """Ids of the unfinished whose rows can't be read, and why."""
        torn = []
        with translated():
            for row in self._database.execute("SELECT * FROM jobs WHERE final_s IS NULL"):
                try:
                    Row.read(row)
                except InternalError as error:
                    torn.append((str(row["id"]), error))
        return torn

    def oldest_first(self) -> Generator[Kept, None, None]:
        """Those that are final. Take a few, and close it: all may be very many."""
        with translated():
            for row in self._database.execute(_OLDEST):
                try:
                    job_id = UUID(row["id"])
                except ValueError:  # nobody of us wrote that: it stays
                    continue
                yield Kept(job_id, row["final_s"], row["size"])

    def _total(self, question: str, *values: str) -> Total:
        with translated():
            return Total(*self._database.execute(question, values).fetchone())


def _before(state: JobState) -> list[JobState]:
    """Which it may have been in: while it runs, more than its state may change."""
    return [each for each in NEXT if state in NEXT[each] or each is state is JobState.RUNNING]
