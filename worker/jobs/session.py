"""A state directory while it is open: its parts, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

from worker.jobs.adoption import Adoption
from worker.jobs.keeper_client import Event, KeeperClient, keeper_lost
from worker.jobs.keeper_process import keeper_of, locked
from worker.jobs.orphans import end_orphans
from worker.jobs.pidfd import end_of
from worker.jobs.recovery import end, reconcile
from worker.jobs.removal import Removal
from worker.jobs.retention import Retention
from worker.jobs.roster import Roster, closed
from worker.jobs.store import Store
from worker.jobs.threads import ENDS
from worker.keeper.messages import Leave

_KILL_S: Final = 10.0  # for what doesn't go even by SIGKILL
_DYING_S: Final = 1.0  # between the end of its socket and that of a process lie some ms
_LEAVING_S: Final = 0.1  # a SIGHUP takes so much longer

log = logging.getLogger(__name__)


class Session:
    """With one keeper, until its socket is at its end.

    `leaving`: nothing is started any more. `gone`: nothing more will be told.
    """

    def __init__(
        self, directory: Path, keeper: KeeperClient, store: Store, roster: Roster, removal: Removal
    ) -> None:
        self._directory = directory
        self.keeper, self.store, self.roster, self.removal = keeper, store, roster, removal
        self.leaving, self.gone = asyncio.Event(), asyncio.Event()
        self.is_open = True

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, directory: Path, connection: socket.socket | None, retention: Retention
    ) -> AsyncIterator[Self]:
        """With the keeper at the other end of `connection`, else with one of our own.

        That one ends all jobs when we leave; cancelled while it does, it kills them.
        """
        is_ours = connection is None
        async with AsyncExitStack() as stack:
            if connection is None:
                descriptor = await locked(directory)
                stack.callback(os.close, descriptor)
            store = Store(directory / "jobs.db")
            stack.callback(store.close)
            adoption = Adoption(store, directory / "jobs")
            await adoption.run()
            store.reserve.take()
            if connection is None:
                link, pid = await stack.enter_async_context(keeper_of(directory, descriptor))
            else:
                link, pid = connection, os.getppid()
            wait_dead = await stack.enter_async_context(end_of(pid))
            keeper = await stack.enter_async_context(KeeperClient.over(link))
            listed = await keeper.hello()
            group = TaskGroup()
            roster = Roster(directory / "jobs", store, keeper, group)
            # After the group: who waits for a job that is just being finished hears of that.
            stack.callback(roster.close)
            await group.__aenter__()
            # Without an error: it would wrap that, and our user's exceptions are his own.
            stack.push_async_callback(group.__aexit__, None, None, None)
            stack.callback(keeper.lose)  # a start that isn't answered would hold up the group
            stack.callback(roster.cease)
            removal = Removal(roster, store, retention, adoption.leftovers)
            session = cls(directory, keeper, store, roster, removal)
            stack.callback(session._close)
            rest = reconcile(roster, store, listed)
            stack.callback(group.create_task(session._listen(wait_dead)).cancel)
            await end(roster, rest, keeper)
            stack.callback(group.create_task(removal.run()).cancel)
            if is_ours:
                stack.push_async_callback(session._kill)  # if _leave is cut short, wherever
                stack.push_async_callback(session._leave)
            yield session

    def hurry(self) -> None:
        self.keeper.leave()  # first, as that is the cause
        self.roster.kill_all()

    def check_open(self) -> None:
        """Raise Unavailable once what was recorded can't be read here any more."""
        if not self.store.is_open:
            raise closed()

    def check_heard(self) -> None:
        """Raise why nothing more will be heard of any job than what is recorded."""
        if self.roster.is_closed:
            raise closed()
        is_lost = self.gone.is_set() and self.is_open and not self.leaving.is_set()
        if is_lost and self.roster.is_settled:
            raise keeper_lost()

    def _close(self) -> None:
        self.is_open = False

    async def _listen(self, wait_dead: Callable[[float], Awaitable[bool]]) -> None:
        try:
            await self.keeper.listen(self._heed)
            if not (self.leaving.is_set() and self.roster.is_settled):
                await self._without_keeper(wait_dead)
            self.roster.keeper_gone()
        finally:
            self.gone.set()

    async def _without_keeper(self, wait_dead: Callable[[float], Awaitable[bool]]) -> None:
        """Jobs of one that lives are its own: it is replaced now, or only can't be understood."""
        is_leaving = self.leaving.is_set()
        if await wait_dead(_LEAVING_S if is_leaving else _DYING_S):
            log.error("the keeper ended unexpectedly, and with it the jobs that ran")
            await ENDS.run(end_orphans, self._directory)
        elif not is_leaving:
            log.error("the keeper can't be understood any more: its jobs are left to it")

    def _heed(self, event: Event) -> None:
        if isinstance(event, Leave):
            self.leaving.set()
        else:
            self.roster.heed(event)

    async def _leave(self) -> None:
        self.leaving.set()
        self.keeper.leave()
        await self.gone.wait()

    async def _kill(self) -> None:
        if not self.keeper.is_gone:
            self.hurry()
            with suppress(TimeoutError):
                async with asyncio.timeout(_KILL_S):
                    await self.gone.wait()
