"""The writing end of a job's stdin. It never blocks: one piece waits until the pipe takes it.

What counts as accepted is in the pipe, which outlives a server: so a client that keeps what isn't
accepted yet can go on over any break, and nothing arrives twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from worker.keeper.facts import Facts
from worker.keeper.loop import WRITABLE, Loop, Owner
from worker.keeper.messages import Accepted, Input, Message, Refusal, Refused


@dataclass(slots=True)
class Piece:
    """What isn't written yet of one Input."""

    ask: int
    data: memoryview
    end: bool


class Stdin:
    """Of `pipe`; None: the job has none, or its end was sent. `facts` counts what it took."""

    def __init__(
        self, pipe: int | None, facts: Facts, loop: Loop, tell: Callable[[Message], None]
    ) -> None:
        self.pipe, self._facts = pipe, facts
        self._loop, self._tell = loop, tell
        self._piece: Piece | None = None

    def watch(self, owner: Owner) -> None:
        if self.pipe is not None:
            self._loop.watch(self.pipe, self._write, owner, 0)

    def take(self, asked: Input, raw: bytes) -> None:
        """The newest sender counts: one whose connection broke may have left a piece here."""
        total = self._facts.accepted
        if asked.offset > total:
            text = f"offset {asked.offset} is beyond the {total} bytes that were accepted"
            self._tell(Refused(asked.ask, Refusal.OUT_OF_RANGE, text))
            return
        fresh = memoryview(raw)[total - asked.offset :]
        if not fresh and not asked.end:
            self._tell(Accepted(asked.ask, total))
            return
        displaced = self._dropped()
        if displaced:
            text = "another sender has taken over the job's stdin"
            self._tell(Refused(displaced.ask, Refusal.NOT_NOW, text))
        self._piece = Piece(asked.ask, fresh, asked.end)
        if self.pipe is None:
            self._refuse_if_new()
        else:
            self._write()

    def forget_ask(self) -> None:
        """Nobody is there to be answered, so nothing more of it may be accepted."""
        self._dropped()

    def close(self) -> None:
        """Closing twice is no error. Nobody reads any more."""
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            self._loop.forget(pipe)
            os.close(pipe)
        self._refuse_if_new()

    def _write(self) -> None:
        piece, pipe = self._piece, self.pipe
        if piece is None or pipe is None:  # nobody reads any more
            self.close()
            return
        try:
            while piece.data:
                written = os.write(pipe, piece.data)
                piece.data = piece.data[written:]
                self._facts.accepted += written
        except BlockingIOError:
            self._loop.change(pipe, WRITABLE)
            return
        except BrokenPipeError:
            self.close()
            return
        self._answer()
        if piece.end:
            self.close()

    def _answer(self) -> None:
        piece = self._dropped()
        if piece:
            self._tell(Accepted(piece.ask, self._facts.accepted))

    def _dropped(self) -> Piece | None:
        """Nothing waits any more: only the end of the last reader is to wake us (EPOLLERR)."""
        piece, self._piece = self._piece, None
        if piece and self.pipe is not None:
            self._loop.change(self.pipe, 0)
        return piece

    def _refuse_if_new(self) -> None:
        """Its end, sent once more, is no error."""
        if self._piece and not self._piece.data:
            self._answer()
        piece, self._piece = self._piece, None
        if piece:
            text = "the job takes no more input: its stdin is closed"
            self._tell(Refused(piece.ask, Refusal.NOT_NOW, text))
