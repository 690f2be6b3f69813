"""Threads for what may block, in groups: none waits behind another group's work.

All of them are started before they are needed: once a job has taken every process that there may
be, no more can be, and the ends of jobs have to be recorded all the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Barrier
from typing import Final, ParamSpec, TypeVar

from worker.errors import NoRoom

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Threads:
    """`may_hang`: who is cancelled doesn't wait for what he has asked for."""

    def __init__(self, name: str, number: int, *, may_hang: bool = False) -> None:
        self._name, self._number, self._may_hang = name, number, may_hang
        self._started: ThreadPoolExecutor | None = None
        os.register_at_fork(after_in_child=self._forget)  # the copy has none of them

    def _forget(self) -> None:
        self._started = None

    def start(self) -> ThreadPoolExecutor:
        """Starting twice is no error. Raises NoRoom."""
        if self._started is None:
            pool = ThreadPoolExecutor(self._number, self._name)
            met = Barrier(self._number + 1)
            with ExitStack() as undone:
                undone.callback(pool.shutdown)
                undone.callback(met.abort)
                try:
                    for _ in range(self._number):  # a pool starts a thread only if none is idle
                        pool.submit(met.wait)
                except RuntimeError as error:
                    raise NoRoom("no thread can be started: too many processes run") from error
                met.wait()
                undone.pop_all()
            self._started = pool
        return self._started

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What it returns or raises, or NoRoom. Cancelled, it is done to its end all the same."""
        loop = asyncio.get_running_loop()
        doing = loop.run_in_executor(self.start(), partial(function, *args, **kwargs))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            doing.add_done_callback(_heard)
            if not self._may_hang:
                await asyncio.wait([doing])
            raise


def _heard(done: asyncio.Future[T]) -> None:
    """Or asyncio says that nobody was told of a failure."""
    if not done.cancelled():
        done.exception()


ENDS: Final = Threads("end", 6)  # the folders of jobs: made durable, deleted, adopted
TAILS: Final = Threads("tail", 2)
# Homes, and users that a network knows: where it doesn't answer, starts wait, and nothing else.
HOMES: Final = Threads("home", 8, may_hang=True)


def start_all() -> None:
    """Those that can't be started now are when they are needed."""
    for each in (ENDS, TAILS, HOMES):
        try:
            each.start()
        except NoRoom as error:
            log.warning("%s; jobs can be stopped all the same", error)
