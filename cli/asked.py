"""The signals that ask `run` to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Final

# Some systems have no SIGHUP.
ENDING: Final = [
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if name in signal.Signals.__members__
]

HANGUP: Final = getattr(signal, "SIGHUP", None)
TOGETHER: Final = 0.2  # seconds: `timeout` sends to us and to our group, a logout two kinds
AT_ONCE: Final = 0.05  # and `timeout` passes Ctrl-C on, which we got, too; no finger is so fast


class Asked:
    """How often we were asked to end, and whether that ended the job."""

    def __init__(self) -> None:
        self.once = asyncio.Event()
        self.twice = asyncio.Event()
        self.job_ended = asyncio.Event()  # as far as is known here
        self._counted_at = -inf
        self._has_hung_up = False

    def hear(self, which: signal.Signals, now: float) -> bool:
        """Is it the third time? A person may soon ask again; what ends a session says it twice."""
        if which is HANGUP:  # by the kernel, and by the shell: a terminal goes once
            if self._has_hung_up:
                return False
            self._has_hung_up = True
        apart = AT_ONCE if which is signal.SIGINT else TOGETHER
        if now - self._counted_at < apart:
            return False
        self._counted_at = now
        is_third = self.twice.is_set()
        if self.once.is_set():
            self.twice.set()
        self.once.set()
        return is_third


@contextmanager
def ending_heard(asked: Asked) -> Iterator[None]:
    """The third signal has its usual effect, whatever is being waited for.

    Signals that somebody had ignored stay so (nohup, a shell's background).
    """
    loop = asyncio.get_running_loop()

    def ask(which: signal.Signals) -> None:
        if asked.hear(which, loop.time()):
            give_back()
            signal.raise_signal(which)

    def give_back() -> None:
        for each in taken:
            loop.remove_signal_handler(each)

    taken: set[signal.Signals] = set()
    with suppress(NotImplementedError):  # Windows: there Ctrl-C leaves the job at once
        for each in ENDING:
            if signal.getsignal(each) is not signal.SIG_IGN:
                loop.add_signal_handler(each, ask, each)
                taken.add(each)
    try:
        yield
    finally:
        give_back()
