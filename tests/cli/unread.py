"""A job that prints without end, and a program whose stdout nobody reads."""

import asyncio
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from subprocess import Popen
from typing import Any
from uuid import UUID

from gen import workerservice as wire
from tests.cli.program import TIMEOUT, Program
from tests.client.scripted import Message, Script

ID = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
OUTPUT = wire.GetOutputResponse(output=b"x" * 50_000, stream=wire.Stream["STDOUT"])


class Scripts:
    """Of a server whose job prints without end, and of which no stop is answered."""

    def __init__(self) -> None:
        self.is_starting = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.stops: asyncio.Queue[tuple[UUID, timedelta | None]] = asyncio.Queue()
        self.job = UUID(ID)

    @property
    def all(self) -> dict[str, Script]:
        return {"Start": self.start, "GetOutput": self.output, "Stop": self.stop}

    async def start(self, stream: Any) -> None:
        self.job = UUID(bytes=wire.StartRequest().parse(await stream.recv_message()).job_id)
        self.is_starting.set()
        await self.may_start.wait()
        await stream.send_message(Message(bytes(wire.StartResponse(self.job.bytes))))

    async def output(self, stream: Any) -> None:
        await stream.recv_message()
        while True:
            await stream.send_message(Message(bytes(OUTPUT)))

    async def stop(self, stream: Any) -> None:
        asked = wire.StopRequest().parse(await stream.recv_message())
        await self.stops.put((UUID(bytes=asked.job_id), asked.grace_period))
        await asyncio.get_running_loop().create_future()


@contextmanager
def unread(
    program: Program, *arguments: str, kind: Callable[[], tuple[int, int]] = os.pipe
) -> Iterator[tuple[Popen[bytes], int]]:
    """Its stdout is a pipe or terminal of which nobody reads; the end for writing."""
    reader, writer = kind()
    try:
        with program.popen(*arguments, stdout=writer) as process:
            try:
                yield process, writer
            finally:
                process.kill()
    finally:
        os.close(reader)
        os.close(writer)


async def full(writer: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while select.select([], [writer], [], 0)[1]:
        assert time.monotonic() < deadline
        if os.isatty(writer):
            _top_up(writer)
        await asyncio.sleep(0)


def _top_up(terminal: int) -> None:
    """It may make room by itself, late, and doesn't wake who waits for that."""
    ours = os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with suppress(BlockingIOError):
        os.write(ours, b"x" * 4096)
    os.close(ours)


async def line(process: Popen[bytes]) -> str:
    assert process.stderr
    return (await asyncio.to_thread(process.stderr.readline)).decode()


async def said(process: Popen[bytes], words: str) -> str:
    """The next line that has them: what depends on which answer is first may stand before it."""
    while words not in (found := await line(process)):
        assert found, f"ended without a word of {words!r}"
    return found


async def ended(process: Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, TIMEOUT)
