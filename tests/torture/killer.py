"""Kills the server: at random moments, twice within 50 ms, during its own start-up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.e2e.service import Service
from worker.jobs.fault import KILLED, POINTS


class Killer:
    """`answered` returns once the server has answered something on a new connection."""

    def __init__(
        self, service: Service, chance: random.Random, answered: Callable[[], Awaitable[None]]
    ) -> None:
        self._service = service
        self._chance = chance
        self._answered = answered
        self.to_first_answer: list[float] = []

    @property
    def kills(self) -> int:
        """Ours, and those at the fault points: the keeper logs each end."""
        return self._service.log.read_text().count("the server ended with status 137")

    @property
    def at_points(self) -> dict[str, int]:
        log = self._service.log.read_text()
        return {name: log.count(f"{KILLED}{name}\n") for name in POINTS}

    async def run(self, most: int, until: float) -> None:
        """Kill until there were `most` or the time (monotonic) is over."""
        while self.kills < most and time.monotonic() < until:
            await asyncio.sleep(self._chance.uniform(0.05, 0.6))
            began = time.monotonic()
            await self._kill()
            if self._chance.random() < 0.2:
                await asyncio.sleep(self._chance.uniform(0, 0.05))
                await self._kill()
            elif self._chance.random() < 0.3:
                await asyncio.sleep(self._chance.uniform(0.1, 0.5))  # while it starts
                await self._kill()
            else:
                await self._answered()
                self.to_first_answer.append(time.monotonic() - began)

    async def _kill(self) -> None:
        with suppress(ValueError, ProcessLookupError):  # there is none at this moment
            os.kill(await asyncio.to_thread(lambda: self._service.server_pid), signal.SIGKILL)
