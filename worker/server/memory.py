"""What connections leave behind is given back to the system.

A connection, its streams and those of h2 refer to each other: only Python's collector frees them,
and it runs after so many new objects, of which a server that waits makes none. What is freed then
lies between what is in use, where glibc keeps it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from asyncio import TimerHandle
from typing import Final

SOON_S: Final = 1.0  # those that go together are given back together
SHARE: Final = 100  # of the time: where much lives a collection takes long, and all wait


def keep_loaded() -> None:
    """What is there by now stays, and is never looked at again: a collection is some ms."""
    gc.collect()
    gc.freeze()


class Memory:
    def __init__(self) -> None:
        self._timer: TimerHandle | None = None
        self._took_s = 0.0  # the last time

    def give_back_soon(self) -> None:
        if self._timer is None:
            delay = max(SOON_S, SHARE * self._took_s)
            self._timer = asyncio.get_running_loop().call_later(delay, self._give_back)

    def _give_back(self) -> None:
        self._timer, began = None, time.monotonic()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # malloc_trim(3); musl has none
        if trim:
            trim(0)
        self._took_s = time.monotonic() - began
