"""A job in the foreground: what ends us ends the job.

Ctrl-C, SIGTERM (`timeout 5 workerclient run ...`) and SIGHUP (the terminal is closed) stop it,
the second one kills it, the third one leaves it. A client that is killed or loses the connection
leaves it running: `workerclient ls` shows it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from cli.descriptors import STDOUT, CannotWrite, ReaderGone, reader_watched, say
from cli.flow import Flow
from cli.lines import Lines, Look
from cli.output import copy
from cli.stdin import pieces_of_stdin
from worker.errors import NotNow, WorkerError
from worker.job import Job
from worker.state import JobStatus

# Some systems have no SIGHUP.
ENDING: Final = [
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if name in signal.Signals.__members__
]


async def attached(job: Job, look: Look, *, has_input: bool) -> tuple[JobStatus, bool]:
    """The final status, and whether we were asked to end meanwhile."""
    async with ending_asked() as asked:
        try:
            async with (
                meanwhile(_ends(job, asked)),
                meanwhile(_fed(job) if has_input else _nothing()),
            ):
                async with reader_watched(STDOUT):
                    await copy(job.output(tagged=True), Lines(job.id, look), Flow())
                return await job.wait(), asked.was_asked
        except ReaderGone:  # a local program would have got SIGPIPE
            await job.stop()
            raise
        except (CannotWrite, WorkerError):
            say(f"job {job.id} may still run: workerclient logs {job.id}")
            raise


class Asked:
    """How often we were asked to end."""

    def __init__(self) -> None:
        self._times: asyncio.Queue[None] = asyncio.Queue()
        self.was_asked = False

    def add(self) -> None:
        self.was_asked = True
        self._times.put_nowait(None)

    async def wait(self) -> None:
        await self._times.get()


@asynccontextmanager
async def ending_asked() -> AsyncIterator[Asked]:
    """Signals that somebody had ignored stay so (nohup, a shell's background)."""
    loop, asked = asyncio.get_running_loop(), Asked()
    taken = [each for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN]
    for each in taken:
        loop.add_signal_handler(each, asked.add)
    try:
        yield asked
    finally:
        for each in taken:
            loop.remove_signal_handler(each)


async def _ends(job: Job, asked: Asked) -> None:
    await asked.wait()
    say(f"stopping job {job.id}; once more kills it")
    await _stopped(job, None)
    await asked.wait()
    say(f"killing job {job.id}; once more leaves it")
    await _stopped(job, 0)
    for each in ENDING:  # the next one has its usual effect
        with suppress(ValueError):
            asyncio.get_running_loop().remove_signal_handler(each)


async def _stopped(job: Job, grace_period: float | None) -> None:
    try:
        await job.stop(grace_period=grace_period)
    except WorkerError as error:
        say(str(error))


async def _fed(job: Job) -> None:
    try:
        await job.send_input(pieces_of_stdin())
    except NotNow:
        pass  # the job has ended, or has closed its stdin: its own affair
    except WorkerError as error:
        say(f"stdin: {error}")


async def _nothing() -> None:
    pass


@asynccontextmanager
async def meanwhile(task: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """It ends with the block."""
    running = asyncio.ensure_future(task)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
