"""Folders and rows, made to agree each time a state directory is opened.

A folder without a row gets one: the table may be new, or older than its folders. A removal that
was cut short is completed. Memory holds a few folders at a time, and what is done is recorded: a
start that is killed goes on where it was.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

from worker.jobs.ending import ended_status
from worker.jobs.folder import TornFile, read_ended, read_request, size_of
from worker.jobs.removal import SUFFIX, set_aside
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.jobs.threads import ENDS
from worker.keeper.messages import Spawn
from worker.state import Cause, JobState, Outcome

_AT_ONCE: Final = 500
_PROGRESS: Final = 10_000

log = logging.getLogger(__name__)


class Adoption:
    """Of what `folder` holds, into `store`. `leftovers`: removed, and still to be deleted."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._count = 0
        self.leftovers: set[Path] = set()

    async def run(self) -> None:
        """Before the keeper is asked for its list: what it tells of by then has its row.

        Raises BadState for a file of a newer version.
        """
        self._mend()
        with os.scandir(self._folder) as entries:
            names = (entry.name for entry in entries)
            while some := list(islice(names, _AT_ONCE)):
                self._complete([name for name in some if _is_removed(name)])
                await self._adopt(self._store.without_row([name for name in some if _is_id(name)]))
        if self._count:
            log.warning("%d jobs had no row in jobs.db: taken from their folders", self._count)

    def _mend(self) -> None:
        """A row that can't be read is dropped: its folder is adopted, or else the job is lost."""
        for name, error in self._store.torn():
            log.error("%s: taken from its folder", error)
            self._store.remove(name)
            if _is_id(name) and not (self._folder / name).exists():
                row = Row.of(_unknown(name, time.time_ns() // 1000), epoch="")
                reason = "neither its row nor its folder can be read"
                lost = replace(
                    row.status,
                    state=JobState.LOST,
                    outcome=Outcome.LOST,
                    cause=Cause.LOST,
                    reason=reason,
                )
                self._store.add(replace(row, status=lost))

    def _complete(self, names: list[str]) -> None:
        """They were renamed; a power cut may have taken the tombstone back."""
        if names:
            self._store.bury([(UUID(name.removesuffix(SUFFIX)), "") for name in names])
            self.leftovers |= {self._folder / name for name in names}

    async def _adopt(self, names: list[str]) -> None:
        new = []
        for name in names:
            folder = self._folder / name
            if self._store.tombstones.find(UUID(name)) is None:
                new.append(folder)
            elif removed := set_aside(folder):
                self.leftovers.add(removed)
        if not new:
            return
        if not self._count:
            await ENDS.run(_make_all_durable, self._folder)
        self._store.add(*await ENDS.run(_rows_of, new))
        before, self._count = self._count, self._count + len(new)
        if before // _PROGRESS < self._count // _PROGRESS:
            log.info("%d jobs taken from their folders so far", self._count)


def _rows_of(folders: list[Path]) -> list[Row]:
    return [_row_of(folder) for folder in folders]


def _row_of(folder: Path) -> Row:
    """Final if its end was recorded. Else the keeper knows more, or the job is lost."""
    row = Row.of(_request_of(folder), epoch="")
    try:
        status = ended_status(row.status, read_ended(folder))
    except TornFile:
        return row
    return replace(row, status=status, size=size_of(folder))


def _request_of(folder: Path) -> Spawn:
    """Where it is torn, the id is all that is left of what was asked."""
    try:
        request = read_request(folder)
    except TornFile as error:
        log.error("%s", error)
    else:
        if request.job == folder.name:
            return request
        log.error("%s/request is of another job, %s", folder, request.job)
    return _unknown(folder.name, folder.stat().st_mtime_ns // 1000)


def _unknown(job: str, created_us: int) -> Spawn:
    return Spawn(
        ask=0,
        job=job,
        command="",
        arguments=[],
        environment={},
        path="",
        directory="",
        merged=False,
        grace_s=0.0,
        output_cap=0,
        owner="",
        labels={},
        created_us=created_us,
    )


def _make_all_durable(folder: Path) -> None:
    """Its whole file system at once: each folder by itself would take minutes for 100,000."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            reason = os.strerror(ctypes.get_errno())
            log.error("%s may not survive a power cut: %s", folder, reason)
    finally:
        os.close(descriptor)


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _is_removed(name: str) -> bool:
    return name.endswith(SUFFIX) and _is_id(name.removesuffix(SUFFIX))
