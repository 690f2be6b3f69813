"""Bytes to stdout and stderr from within the loop: a slow reader keeps no signal from us.

O_NONBLOCK would be another program's, too, that shares the pipe. So only what there is room for
is written, and the loop waits for the room.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

from cli.descriptors import STDERR, STDOUT, CannotWrite, ReaderGone, put, sentence_line

PIECE: Final = getattr(select, "PIPE_BUF", 512)  # bytes: all of it goes into a pipe that has room
PAUSE: Final = 0.02  # seconds, where a terminal has room, but too little


class Flow:
    """Who writes has a descriptor to itself until all is written."""

    def __init__(self) -> None:
        self._turns = {STDOUT: asyncio.Lock(), STDERR: asyncio.Lock()}
        self._is_cut = {STDOUT: False, STDERR: False}  # within what was to be written

    async def write(
        self, descriptor: int, data: bytes, count: Callable[[int], None] = lambda _: None
    ) -> None:
        """All of `data`, unless it is cancelled; `count` is told how many bytes each time.

        Raises CannotWrite or ReaderGone.
        """
        async with self._turns[descriptor]:
            left, self._is_cut[descriptor] = memoryview(data), True
            while left:
                if not has_room(descriptor):
                    await _room(descriptor)
                elif taken := put(descriptor, left[:PIECE], opened(descriptor)):
                    left = left[taken:]
                    count(taken)
                else:
                    await asyncio.sleep(PAUSE)
            self._is_cut[descriptor] = False

    def write_what_fits(self, descriptor: int, data: bytes) -> None:
        """Nothing behind a part, which would seem to go on so."""
        if not self._is_cut[descriptor]:
            write_what_fits(descriptor, data)

    async def say(self, sentence: str) -> None:
        """As `descriptors.say`."""
        with suppress(CannotWrite, ReaderGone):
            await self.write(STDERR, sentence_line(sentence))


def write_what_fits(descriptor: int, data: bytes) -> None:
    """The last words of who can't wait."""
    left = memoryview(data)
    with suppress(CannotWrite, ReaderGone):
        while left and has_room(descriptor):
            taken = put(descriptor, left[:PIECE], opened(descriptor))
            left = left[taken:] if taken else left[:0]


def say_what_fits(sentence: str) -> None:
    """A reader that doesn't read keeps the loop from nothing, nor us from ending."""
    write_what_fits(STDERR, sentence_line(sentence))


@cache
def opened(descriptor: int) -> int:
    """A terminal once more, non-blocking for us alone: how much room it has nobody can ask."""
    try:
        name = os.ttyname(descriptor)
        return os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, AttributeError):  # no terminal, not ours to open, or no such thing here
        return descriptor


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
