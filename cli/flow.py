"""Bytes to stdout and stderr from within the loop: a slow reader keeps no signal from us.

O_NONBLOCK would be another program's, too, that shares the terminal or pipe. So only what there
is room for is written, and the loop waits for the room.
"""

from __future__ import annotations

import asyncio
import select
from contextlib import suppress
from typing import Final

from cli.descriptors import STDERR, STDOUT, CannotWrite, ReaderGone, sentence_line, write

PIECE: Final = getattr(select, "PIPE_BUF", 512)  # bytes: all of it goes into a pipe that has room


class Flow:
    """Who writes has a descriptor to itself until all is written."""

    def __init__(self) -> None:
        self._turns = {STDOUT: asyncio.Lock(), STDERR: asyncio.Lock()}

    async def write(self, descriptor: int, data: bytes) -> None:
        """All of `data`, unless it is cancelled. Raises CannotWrite or ReaderGone."""
        async with self._turns[descriptor]:
            left = memoryview(data)
            while left:
                while not has_room(descriptor):
                    await _room(descriptor)
                write(descriptor, left[:PIECE])
                left = left[PIECE:]

    async def say(self, sentence: str) -> None:
        """As `descriptors.say`."""
        with suppress(CannotWrite, ReaderGone):
            await self.write(STDERR, sentence_line(sentence))


def write_what_fits(descriptor: int, data: bytes) -> None:
    """The last words of who can't wait."""
    left = memoryview(data)
    with suppress(CannotWrite, ReaderGone):
        while left and has_room(descriptor):
            write(descriptor, left[:PIECE])
            left = left[PIECE:]


def has_room(descriptor: int) -> bool:
    """Also a plain file, and what can't be written to: the write itself will tell."""
    try:
        return bool(select.select([], [descriptor], [], 0)[1])
    except OSError:  # Windows asks sockets alone
        return True


async def _room(descriptor: int) -> None:
    loop, room = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(descriptor, room.set)
    try:
        await room.wait()
    finally:
        loop.remove_writer(descriptor)
