"""A job's output to our stdout and stderr."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import groupby
from operator import itemgetter

from cli.flow import Flow
from cli.lines import Lines
from worker.state import Chunk


async def copy(chunks: AsyncGenerator[Chunk, None], lines: Lines, flow: Flow) -> None:
    """A chunk is written before the next is asked for: a slow reader slows the server down."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                if chunk.skipped and not lines.tell_gaps:
                    await flow.say(lines.dropped(chunk))
                for descriptor, pieces in groupby(lines.take(chunk), key=itemgetter(0)):
                    await flow.write(descriptor, b"".join(data for _, data in pieces), lines.count)
                lines.pass_by(chunk)
    except BaseException:
        for descriptor, data in lines.rest():
            flow.write_what_fits(descriptor, data)
        raise
    for descriptor, data in lines.rest():
        await flow.write(descriptor, data)
