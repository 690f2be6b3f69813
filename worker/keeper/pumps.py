"""All pipes of all jobs: an epoll inside the loop's, so that output never comes first.

The kernel rotates a level-triggered set, so a few pipes a turn are fair without further code.
When the disk is slow the pipes rest for four times as long as a turn took, a second at most:
requests, signals and ends are served meanwhile, and the jobs wait in write(2) as they would on a
slow file.
"""

from __future__ import annotations

import select
import time
from typing import Final

from worker.keeper.loop import READABLE, Callback, Loop, Owner, guarded

A_TURN: Final = 4  # pipes
SLOW_S: Final = 0.005
REST: Final = 4.0
LONGEST_REST_S: Final = 1.0  # a turn may have been long as we were stopped or the machine slept


class Pumps:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._pipes: dict[int, tuple[Callback, Callback, Owner]] = {}
        loop.watch(self._epoll.fileno(), self._turn, self)

    def add(self, pipe: int, on_bytes: Callback, on_end: Callback, owner: Owner) -> None:
        self._epoll.register(pipe, select.EPOLLIN)
        self._pipes[pipe] = on_bytes, on_end, owner

    def remove(self, pipe: int) -> None:
        """Before it is closed. Removing twice is no error."""
        if self._pipes.pop(pipe, None):
            self._epoll.unregister(pipe)

    def give_up(self) -> None:
        self._wake()

    def _turn(self) -> None:
        began = time.monotonic()
        for pipe, events in self._epoll.poll(0, A_TURN):
            if pipe in self._pipes:
                on_bytes, on_end, owner = self._pipes[pipe]
                guarded(on_bytes if events & select.EPOLLIN else on_end, owner)
        took = time.monotonic() - began
        if took > SLOW_S:
            self._loop.change(self._epoll.fileno(), 0)
            self._loop.call_in(min(took * REST, LONGEST_REST_S), self._wake, self)

    def _wake(self) -> None:
        self._loop.change(self._epoll.fileno(), READABLE)
