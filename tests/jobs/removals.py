"""What the log says about removals, as something that a test can wait for."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from worker.job import Job


class Removals(logging.Handler):
    """Every line of removal.py, from whichever thread."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.call_soon_threadsafe(self._add, record.getMessage())

    def _add(self, line: str) -> None:
        self.lines.append(line)
        self._more.set()

    async def wait_removed(self, job: Job) -> str:
        """How it went."""
        return await self._wait(f"job {job.id} was removed ")

    async def wait_deleted(self, job: Job) -> None:
        await self._wait(f"{job.id}.removed is deleted")

    async def _wait(self, text: str) -> str:
        while True:
            for line in self.lines:
                if text in line:
                    return line.partition(text)[2]
            self._more.clear()
            await self._more.wait()


@contextmanager
def logged_removals() -> Iterator[Removals]:
    log = logging.getLogger("worker.jobs.removal")
    handler, before = Removals(), log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        log.setLevel(before)
        log.removeHandler(handler)
