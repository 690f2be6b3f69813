"""A job as this process sees it: its status, and who waits for what comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from worker.errors import JobError
from worker.jobs.row import Row
from worker.jobs.tally import Tally
from worker.state import JobState, JobStatus

_NOBODY: Final = 2**63  # more than any size: the keeper isn't asked


class TrackedJob:
    """What the registry learns of a job is told here, and wakes those who wait for it.

    `tell(beyond)` asks the keeper for one notice of growth: that is done only while somebody
    waits, and for the nearest of them alone. A failure is what ends all waiting without an end
    of the job: it wasn't started, or nobody is left who could tell. `over` is called then, and when
    it is final: who watches all jobs looks again.
    """

    def __init__(
        self,
        row: Row,
        folder: Path,
        tell: Callable[[int], None],
        over: Callable[[], None],
        *,
        size: int = 0,
    ) -> None:
        self.row = row
        self.status = row.status
        self.folder = folder
        self.tally = Tally(folder)
        self._tell, self._over = tell, over
        self._size = size  # what the keeper told of; the file may be longer
        self._asked_beyond = _NOBODY
        self.is_complete = False
        self._failure: JobError | None = None
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._growth = asyncio.Event()  # a new one for each growth

    @property
    def size(self) -> int:
        """What the keeper told of last."""
        return self._size

    @property
    def is_over(self) -> bool:
        """Nothing more will be told."""
        return self.status.is_final or self._failure is not None

    async def current_status(self) -> JobStatus:
        """With the output so far. Raises KeeperLost if nobody can tell of the job any more."""
        if self.status.is_final:
            return self.status
        output = await self.tally.sizes()
        self.check()
        return self.status if self.status.is_final else replace(self.status, output=output)

    def check(self) -> None:
        """Raise the failure, a fresh one each time: a traceback belongs to one waiter."""
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args)

    async def wait_started(self) -> None:
        """Until execve(2) has succeeded; raises why it hasn't."""
        if self.status.state is JobState.STARTED:
            await self._started.wait()
        if self.status.state is JobState.STARTED:
            self.check()

    async def wait_final(self) -> None:
        if not self.status.is_final:
            await self._ended.wait()
            self.check()

    async def wait_grown(self, beyond: int) -> None:
        """Until there may be more than `beyond` bytes, or nothing more will be told."""
        while self._size <= beyond and not self.is_over:
            if beyond < self._asked_beyond and not self.is_complete:
                self._asked_beyond = beyond
                self._tell(beyond)
            await self._growth.wait()

    def tell_started(self, status: JobStatus) -> None:
        self.status = status
        self._started.set()

    def tell_size(self, size: int) -> None:
        self._size = size
        self._asked_beyond = _NOBODY
        self._wake()

    def tell_complete(self) -> None:
        """The keeper has forgotten the job: followers read the rest while its end is recorded."""
        self.is_complete = True
        with suppress(OSError):
            self.tell_size((self.folder / "output").stat().st_size)

    def tell_final(self, status: JobStatus) -> None:
        self.status = status
        self._failure = None  # the keeper went, but had recorded this one
        self._wake_all()

    def tell_failure(self, failure: JobError) -> None:
        if not self.status.is_final:
            self._failure = failure
            self._wake_all()

    def _wake_all(self) -> None:
        self._started.set()
        self._ended.set()
        self._wake()
        self._over()

    def _wake(self) -> None:
        self._growth.set()
        self._growth = asyncio.Event()
