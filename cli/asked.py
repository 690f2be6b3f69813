"""The signals that ask `run` to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        self.used_up: set[signal.Signals] = set()  # signals that count no further time
        self._first_at = 0.0

    def hear(self, which: signal.Signals, now: float) -> None:
        """A person may ask twice at once; what ends a session sends the same thing again."""
        if which in self.used_up:
            return
        if which is HANGUP:  # by the kernel, and by the shell: a terminal goes once
            self.used_up.add(which)
        if not self.once.is_set():
            self._first_at = now
            self.once.set()
        elif now - self._first_at >= (AT_ONCE if which is signal.SIGINT else TOGETHER):
            self.twice.set()


@contextmanager
def ending_heard(asked: Asked) -> Iterator[None]:
    """The third signal has its usual effect, whatever is being waited for.

    Signals that somebody had ignored stay so (nohup, a shell's background).
    """
    loop = asyncio.get_running_loop()

    def ask(which: signal.Signals) -> None:
        asked.hear(which, loop.time())
        if asked.twice.is_set():  # what is sent at once with the second is no third
            loop.call_later(TOGETHER, give_back, taken - asked.used_up)

    def give_back(which: set[signal.Signals]) -> None:
        for each in which:
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
        give_back(taken)
