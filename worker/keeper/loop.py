"""One thread, one epoll, and the barrier: a fault costs the one that it happened to."""

from __future__ import annotations

import os
import select
import signal
import time
from bisect import insort
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Final, Protocol

from worker.keeper.log import report

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
URGENT: Final = select.EPOLLPRI  # cgroup.events after a change
# A pidfd. A zombie whose tracer hasn't let it go can't be waited for, and is told once more then.
ONCE: Final = select.EPOLLIN | select.EPOLLET

LONGEST_S: Final = 3600.0  # epoll_wait(2) takes at most 2^31 ms
Callback = Callable[[], None]


class Owner(Protocol):
    """Whoever a callback belongs to."""

    def give_up(self) -> None:
        """A callback of yours failed. Only mark it: what is done here can't be caught."""


class Timer:
    """A callback at a monotonic time, until it is cancelled."""

    def __init__(self, when: float, callback: Callback, owner: Owner, timers: list[Timer]) -> None:
        self.when, self.callback, self.owner = when, callback, owner
        self._timers = timers  # by time
        insort(timers, self, key=attrgetter("when"))

    def cancel(self) -> None:
        """Cancelling twice, or after its time, is no error."""
        with suppress(ValueError):
            self._timers.remove(self)


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Callback, Owner]] = {}
        self._new: set[int] = set()  # watched since the events of this turn were fetched
        self._timers: list[Timer] = []
        self._is_over = False

    def watch(self, fd: int, callback: Callback, owner: Owner, events: int = READABLE) -> None:
        self._epoll.register(fd, events)
        self._watched[fd] = callback, owner
        self._new.add(fd)

    def change(self, fd: int, events: int) -> None:
        """Other events for a watched descriptor; 0 leaves it out for a while."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Before it is closed. Forgetting twice is no error."""
        if self._watched.pop(fd, None):
            self._epoll.unregister(fd)

    def call_in(self, seconds: float, callback: Callback, owner: Owner) -> Timer:
        return Timer(time.monotonic() + seconds, callback, owner, self._timers)

    def end(self) -> None:
        """Leave `run` after this callback."""
        self._is_over = True

    def run(self) -> None:
        while not self._is_over:
            events = self._epoll.poll(self._patience())
            self._new.clear()
            for fd, _ in events:
                # An earlier callback of this turn may have forgotten it, and closed it: then the
                # event isn't about the new descriptor that has its number.
                if fd in self._watched and fd not in self._new and not self._is_over:
                    guarded(*self._watched[fd])
            now = time.monotonic()
            while self._timers and self._timers[0].when <= now and not self._is_over:
                timer = self._timers.pop(0)
                guarded(timer.callback, timer.owner)

    def _patience(self) -> float | None:
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0].when - time.monotonic()), LONGEST_S)


def guarded(callback: Callback, owner: Owner) -> None:
    """The barrier. SystemExit and the like get out."""
    try:
        callback()
    except Exception as failure:  # noqa: BLE001 - the one place that may
        report(getattr(callback, "__qualname__", callback), failure)
        owner.give_up()


class Signals:
    """Signals as callbacks of the loop; what is not listed keeps its disposition."""

    def __init__(self, loop: Loop, callbacks: Mapping[int, Callback], owner: Owner) -> None:
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._callbacks = callbacks
        self._owner = owner
        # Python's own handler must exist for the number to be written to the pipe.
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in callbacks:
            signal.signal(number, lambda *_: None)
        loop.watch(self._reading, self._on_ready, owner)

    def put_back(self) -> None:
        """Send ourselves again what has come and was not heeded yet."""
        for number in self._come():
            os.kill(os.getpid(), number)

    def _come(self) -> set[int]:
        try:
            return set(os.read(self._reading, 4096))
        except BlockingIOError:
            return set()

    def _on_ready(self) -> None:
        for number in self._come():
            guarded(self._callbacks[number], self._owner)
