"""Another process by its descriptor: it stays the one that was meant. Source: pidfd_open(2)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def end_of(pid: int) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
    """What waits so many seconds at the most for the end of `pid`, and tells whether it came."""
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()

    async def wait(limit_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await is_over.wait()
        return is_over.is_set()

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:  # over, and reaped by somebody else
        is_over.set()
        yield wait
        return

    def tell() -> None:
        loop.remove_reader(descriptor)  # it would be readable for ever
        is_over.set()

    loop.add_reader(descriptor, tell)
    try:
        yield wait
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
