"""A job's bytes to our stdout and stderr."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from cli.descriptors import say, write
from cli.lines import Lines, descriptor_of, dropped
from worker.state import Chunk


async def copy(chunks: AsyncGenerator[Chunk, None], lines: Lines | None = None) -> None:
    """A chunk is written before the next is asked for: a slow reader slows the server down.

    `lines` writes them otherwise than as they stand.
    """
    async with aclosing(chunks):
        async for chunk in chunks:
            if lines is not None:
                lines.take(chunk)
                continue
            if chunk.skipped:
                say(dropped(chunk))
            write(descriptor_of(chunk.stream), chunk.data)
    if lines is not None:
        lines.finish()
