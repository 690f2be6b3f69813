"""Bytes to descriptors 1 and 2, past Python's buffers, encodings and closed files."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from cli.render import printable

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2


class CannotWrite(Exception):
    """A descriptor that takes no more: a full disk, or closed."""


class ReaderGone(Exception):
    """Nobody reads any more (`| head`): a reason to end, not to complain."""


def open_missing() -> None:
    """Occupy what is closed of 0 to 2, or the connection would become our output.

    The wrong way round: to read from what was closed, or write to it, is an error as before.
    """
    for descriptor, way in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, way)  # takes the lowest that is free: this one


def write(descriptor: int, data: bytes) -> None:
    """All of `data`. Raises CannotWrite or ReaderGone."""
    left = memoryview(data)
    while left:
        taken = put(descriptor, left)
        if not taken:  # another program has made the terminal or pipe non-blocking
            select.select([], [descriptor], [])
        left = left[taken:]


def put(descriptor: int, data: memoryview, opened: int | None = None) -> int:
    """How many bytes are taken now. `opened`: the same file, opened another time."""
    try:
        return os.write(descriptor if opened is None else opened, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        name = "stdout" if descriptor == STDOUT else "stderr"
        raise CannotWrite(f"can't write to {name}: {error.strerror}") from error


@asynccontextmanager
async def reader_watched() -> AsyncIterator[None]:
    """Raise ReaderGone in this block once nobody reads from stdout, also while it is silent."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as limit:

            def end() -> None:
                loop.remove_reader(STDOUT)
                limit.reschedule(loop.time())

            # Elsewhere than on Linux this may not work: there the next write will tell.
            with suppress(NotImplementedError, OSError):
                if stat.S_ISFIFO(os.fstat(STDOUT).st_mode):
                    loop.add_reader(STDOUT, end)
            try:
                yield
            finally:
                with suppress(NotImplementedError, OSError):
                    loop.remove_reader(STDOUT)
    except TimeoutError as error:
        if limit.expired():
            raise ReaderGone from error
        raise


def write_text(text: str) -> None:
    write(STDOUT, text_bytes(text))


def text_bytes(text: str) -> bytes:
    r"""For stdout; what its encoding lacks becomes \u20ac."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace")


def say(sentence: str) -> None:
    """To stderr, as one line; where that takes nothing there is nobody left to tell."""
    with suppress(CannotWrite, ReaderGone):
        write(STDERR, sentence_line(sentence))


def sentence_line(sentence: str) -> bytes:
    encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
    return f"workerclient: {printable(sentence)}\n".encode(encoding, "backslashreplace")
