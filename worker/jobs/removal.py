"""The removal of ended jobs: asked for, or because of what retention says.

A tombstone takes the place of the row, the folder is renamed, then deleted in a thread. A kill
between two of these leaves what the next start completes (adoption.py): a folder with a tombstone
is renamed, a renamed one is deleted. Followers read to the end: the folder stays as long.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from asyncio import TaskGroup
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import filterfalse, islice
from pathlib import Path
from typing import Final
from uuid import UUID

from worker.errors import InternalError, NoRoom, NotNow
from worker.jobs import fault
from worker.jobs.retention import Retention, due
from worker.jobs.roster import Roster
from worker.jobs.store import Store
from worker.jobs.threads import ENDS

SUFFIX: Final = ".removed"
_AT_ONCE: Final = 50  # recorded in one turn of the loop, some ms
_SHORTEST_TICK_S: Final = 1.0
_TICK_S: Final = 60.0  # also how much of the service time a kill may take back

log = logging.getLogger(__name__)


class Removal:
    """`leftovers`: folders that are still to be deleted."""

    def __init__(
        self, roster: Roster, store: Store, retention: Retention, leftovers: Iterable[Path]
    ) -> None:
        self._roster, self._store, self._retention = roster, store, retention
        self._to_delete = list(leftovers)
        self._watched: list[UUID] = []  # removed, but for their folders

    async def remove(self, job_id: UUID, by: str) -> None:
        """It is gone for everybody on return; its bytes are soon after.

        Raises JobNotFound, NotNow while it runs, KeeperLost if nobody knows whether it does.
        """
        job = self._roster.find(job_id)
        job.check()
        if not job.status.is_final:
            raise NotNow(f"job {job_id} hasn't ended: stop it, and remove it once it is final")
        self._bury([(job_id, f"by {by}" if by else "")])
        self._roster.changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with TaskGroup() as tasks:
            tasks.create_task(self._grow_older())
            tasks.create_task(self._make_room())

    async def _grow_older(self) -> None:
        while True:
            await asyncio.sleep(max(_SHORTEST_TICK_S, min(_TICK_S, self._retention.age)))
            try:
                self._store.keep_time()
            except (NoRoom, InternalError) as error:
                log.error("ages aren't recorded: %s", error)
            self._roster.changed.set()

    async def _make_room(self) -> None:
        while True:
            self._roster.changed.clear()
            for job_id in self._store.record_rest():
                self._roster.drop(job_id)
            try:
                await self._delete()
                while going := self._due():
                    self._bury(going)
                    await self._delete()
            except (NoRoom, InternalError) as error:
                log.error("retention removes nothing for now: %s", error)
            await self._roster.changed.wait()

    def _due(self) -> list[tuple[UUID, str]]:
        """Some of those that have to go, each with how it goes."""
        with closing(self._store.oldest_first()) as jobs:
            found = due(jobs, self._store.total, self._retention, self._store.time.now())
            unwatched = (each for each in found if not self._is_watched(each[0].id))
            going = ((job.id, f"by retention ({why})") for job, why in unwatched)
            return list(islice(going, _AT_ONCE))

    def _bury(self, going: Sequence[tuple[UUID, str]]) -> None:
        job_ids = [job_id for job_id, _ in going]
        self._store.bury(going)
        fault.point(fault.BETWEEN_TOMBSTONE_AND_RENAME)
        for job_id, how in going:
            self._roster.drop(job_id)
            log.info(" ".join(filter(None, (f"job {job_id} was removed", how))))
        self._watched += job_ids
        self._let_go()

    def _is_watched(self, job_id: UUID) -> bool:
        return job_id in self._roster.watchers

    def _let_go(self) -> None:
        """Those of whom the last follower has gone."""
        self._set_aside(filterfalse(self._is_watched, self._watched))
        self._watched = [*filter(self._is_watched, self._watched)]

    def _set_aside(self, job_ids: Iterable[UUID]) -> None:
        folders = (self._roster.folder / str(job_id) for job_id in job_ids)
        self._to_delete += filter(None, map(set_aside, folders))

    async def _delete(self) -> None:
        self._let_go()
        while self._to_delete:
            some, self._to_delete = self._to_delete[:_AT_ONCE], self._to_delete[_AT_ONCE:]
            fault.point(fault.BETWEEN_RENAME_AND_DELETION)
            try:
                await ENDS.run(_delete_all, some)
            except NoRoom:
                self._to_delete += some
                raise


def set_aside(folder: Path) -> Path | None:
    """Its new path: no job has a name like that. None if there is nothing to delete."""
    try:
        return folder.rename(folder.with_name(folder.name + SUFFIX))
    except FileNotFoundError:  # a job that never started
        return None
    except OSError as error:
        log.error("%s is removed, and stays till the next start: %s", folder, error)
        return None


def _delete_all(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:  # the thread of a Registry that was closed is still at it
            continue
        except OSError as error:
            log.error("%s stays till the next start: %s", folder, error)
        else:
            log.debug("%s is deleted", folder)
