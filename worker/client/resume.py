"""A request goes on over a new connection where one breaks; it gives up in a known time.

Only what another attempt may mend is tried again: Unavailable. Progress is an answer, output, or
a connection that held for longer than a dead one could. Without any for `patience` seconds after
a failure, the next failure is the last: a silent connection takes up to 31 s to be one.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final, TypeVar
from uuid import UUID

from worker.client.channel import (
    CLOSE_TIMEOUT,
    CONNECT_TIMEOUT,
    KEEPALIVE_TIME,
    KEEPALIVE_TIMEOUT,
    PinnedChannel,
)
from worker.errors import Incomplete, NoAnswer, NotTaken, Unavailable
from worker.rpc.statuses import translated
from worker.selection import Selection
from worker.state import Chunk, Stream

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.05  # seconds, then twice as long each time, up to
DOUBLINGS: Final = 10  # by then it is longer than LONGEST_PAUSE; without an end it would overflow
LONGEST_PAUSE: Final = 5.0
QUIET: Final = 2.0  # a restart of the server takes about that: not worth a word
HELD: Final = KEEPALIVE_TIME + KEEPALIVE_TIMEOUT + CLOSE_TIMEOUT + 4.0

Answer = TypeVar("Answer")
Ask = Callable[[Selection], AsyncGenerator[Chunk, None]]


class Attempts:
    """Those of one request."""

    def __init__(self, channel: PinnedChannel, patience: float) -> None:
        self._channel = channel
        self._patience = patience
        self._now = asyncio.get_running_loop().time
        # The first and the last one since there was progress.
        self._first: Unavailable | None = None
        self._error: Unavailable | None = None
        self._failures = 0
        self._failing_since = 0.0
        self._is_told = False
        self._was_taken = True  # as far as is known
        self._asked_at = self._now()

    def progress(self) -> None:
        self._error, self._failures = None, 0
        self._is_told = False

    async def connect(self) -> None:
        """Raises SetupError or Unavailable; in time, also where another request is dialling."""
        # Without an error yet there may still be a queue: others that wait for a dial of their own.
        since = self._failing_since if self._error else self._now() + CONNECT_TIMEOUT
        until = since + self._patience
        try:
            async with asyncio.timeout_at(until):
                await self._channel.connect()
        except TimeoutError as error:
            raise self._error or NoAnswer("the server doesn't answer") from error
        finally:
            self._asked_at = self._now()

    async def wait_next(self, error: Unavailable) -> None:
        """Before the next attempt. Raises `error` instead when the patience is over.

        What the server has not begun with is asked for again by everybody, once.
        """
        if isinstance(error, NotTaken) and self._was_taken:
            self._was_taken = False
            return
        now = self._now()
        if now - self._asked_at > HELD:
            self.progress()
        if self._error is None:
            self._failing_since, self._first = now, error
        self._error = error
        doubled = FIRST_PAUSE * 2 ** min(self._failures, DOUBLINGS)
        pause = min(LONGEST_PAUSE, doubled) * random.uniform(0.5, 1)  # noqa: S311 - spreads clients
        self._failures += 1
        left = self._failing_since + self._patience - now
        if left <= pause or self._channel.is_closed:
            raise self._last(error)
        if now - self._failing_since >= QUIET and not self._is_told:
            self._is_told = True
            what = done_already(error)
            stop = "" if what.endswith("?") else ";"
            log.warning("%s%s trying again for %.0f s%s", what, stop, left, self._said(error))
        await asyncio.sleep(pause)

    def _last(self, error: Unavailable) -> Unavailable:
        if self._failures == 1:
            return error
        tried = f"tried again for {self._patience:.3g} s{self._said(error)}"
        return type(error)(f"{error} ({tried})")

    def _said(self, error: Unavailable) -> str:
        """By the server before it was gone, where `error` doesn't tell."""
        if type(self._first) is not Unavailable or str(self._first) == str(error):
            return ""
        return f"; at first: {done_already(self._first)}"


def done_already(error: Unavailable) -> str:
    """Its words, as far as we don't follow them ourselves."""
    return str(error).removesuffix(": try again")


async def answered(
    channel: PinnedChannel, ask: Callable[[], Awaitable[Answer]], patience: float
) -> Answer:
    """What `ask` returns in the first attempt that is answered; it must bear being repeated."""
    attempts = Attempts(channel, patience)
    while True:
        try:
            await attempts.connect()
            with translated():
                return await ask()
        except Unavailable as error:
            await attempts.wait_next(error)


async def continued(
    channel: PinnedChannel, job_id: UUID, ask: Ask, selection: Selection, patience: float
) -> AsyncGenerator[Chunk, None]:
    """The chunks that are selected, each once; `ask` gives those of a selection, or raises."""
    attempts = Attempts(channel, patience)
    place = Place(selection)
    while True:
        try:
            await attempts.connect()
            async with aclosing(ask(place.rest)) as chunks:
                async for chunk in chunks:
                    attempts.progress()
                    if fresh := place.passed(chunk):
                        yield fresh
        except Incomplete:  # it was answered, wrongly: another attempt would be, too
            raise
        except Unavailable as error:
            place.is_resumed = True
            try:
                await attempts.wait_next(error)
            except Unavailable as last:
                raise broken_off(job_id, place.offset, last) from error
        else:
            return


class Place:
    """How far an output has been delivered."""

    def __init__(self, selection: Selection) -> None:
        self.rest = selection  # what is to be asked for
        self.offset = selection.offset
        self.is_resumed = False  # the next chunk is the first of another answer
        self._told = 0  # of the bytes that were dropped right here

    @property
    def _may_jump(self) -> bool:
        """Over other streams; and a tail that nobody has told the place of yet."""
        return self.rest.stream is not Stream.ALL or self.rest.is_tail

    def passed(self, chunk: Chunk) -> Chunk | None:
        """What of `chunk` hasn't been delivered. Raises Incomplete where it doesn't go on here."""
        if self.is_resumed:
            self.is_resumed = False
            is_here = chunk.offset == self.offset
            if not (is_here or (self._may_jump and chunk.offset > self.offset)):
                raise Incomplete(
                    f"the output broke off at offset {self.offset}, and the server went on at"
                    f" {chunk.offset}: it can't resume"
                )
            chunk = replace(chunk, skipped=max(0, chunk.skipped - self._told))
        end = chunk.offset + len(chunk.data)
        self._told = self._told + chunk.skipped if end == self.offset else 0
        self.offset = end
        # A tail is where it was when it was first asked for.
        self.rest = replace(self.rest, offset=self.offset, tail_bytes=None, tail_lines=None)
        return chunk if chunk.data or chunk.skipped else None


def broken_off(job_id: UUID, offset: int, why: object) -> Incomplete:
    return Incomplete(f"the output of job {job_id} broke off at offset {offset}: {why}")
