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


class Asked:
    """How often we were asked to end, and whether that ended the job."""

    def __init__(self) -> None:
        self.once = asyncio.Event()
        self.twice = asyncio.Event()
        self.job_ended = asyncio.Event()  # as far as is known here


@contextmanager
def ending_heard(asked: Asked) -> Iterator[None]:
    """The third signal has its usual effect, whatever is being waited for.

    Signals that somebody had ignored stay so (nohup, a shell's background).
    """
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if asked.once.is_set():
            asked.twice.set()
            give_back()
        asked.once.set()

    def give_back() -> None:
        while taken:
            loop.remove_signal_handler(taken.pop())

    taken: list[signal.Signals] = []
    with suppress(NotImplementedError):  # Windows: there Ctrl-C leaves the job at once
        for each in ENDING:
            if signal.getsignal(each) is not signal.SIG_IGN:
                loop.add_signal_handler(each, ask)
                taken.append(each)
    try:
        yield
    finally:
        give_back()
