"""Our stdin for a job that is to have it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

from cli.descriptors import STDIN

PIECE: Final = 64 * 1024  # bytes


class CannotRead(Exception):
    """Stdin failed: that is not its end."""


async def pieces_of_stdin() -> AsyncIterator[bytes]:
    """Up to its end, or CannotRead. Nothing is read ahead: what the job doesn't take is left."""
    loop, is_terminal = asyncio.get_running_loop(), os.isatty(STDIN)
    while True:
        readable = loop.create_future()
        try:
            loop.add_reader(STDIN, _set, readable)
        except (OSError, NotImplementedError):  # a plain file is always readable, and epoll says so
            await asyncio.sleep(0)
        else:
            try:
                await readable
            finally:
                loop.remove_reader(STDIN)
        try:
            data = os.read(STDIN, PIECE)
        except BlockingIOError:
            continue
        except OSError as error:
            raise CannotRead(f"can't read stdin: {error.strerror}") from error
        if not data and is_terminal and not os.isatty(STDIN):
            raise CannotRead("can't read stdin: its terminal has gone")
        if not data:
            return
        yield data


def _set(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
