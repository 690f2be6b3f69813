"""The pipes of one job: from the loop into its output, and a word to who waits for more."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from worker.keeper.loop import Owner
from worker.keeper.output import Output
from worker.keeper.pumps import Pumps
from worker.keeper.records import Kind


class Streams:
    """Owns the pipes. `tell_grown` is called with the size, once for each `tell_beyond`."""

    def __init__(
        self,
        pipes: dict[Kind, int],
        output: Output,
        pumps: Pumps,
        tell_grown: Callable[[int], None],
    ) -> None:
        self.output = output
        self._pipes = pipes
        self._pumps = pumps
        self._tell_grown = tell_grown
        self._beyond: int | None = None

    def watch(self, owner: Owner) -> None:
        for stream, pipe in self._pipes.items():
            ends = partial(self._take, stream), partial(self._close, stream)
            self._pumps.add(pipe, *ends, owner)

    def tell_beyond(self, beyond: int) -> None:
        """Of several that wait, the smallest counts: who waits for more asks again."""
        self._beyond = beyond if self._beyond is None else min(beyond, self._beyond)
        self._tell()

    def drain(self) -> None:
        """Take what is there now, and close."""
        for stream, pipe in self._pipes.items():
            self.output.drain(pipe, stream)
        self.close()

    def close(self) -> None:
        for stream in list(self._pipes):
            self._close(stream)

    def _take(self, stream: Kind) -> None:
        self.output.take(self._pipes[stream], stream)
        self._tell()

    def _close(self, stream: Kind) -> None:
        pipe = self._pipes.pop(stream)
        self._pumps.remove(pipe)
        os.close(pipe)

    def _tell(self) -> None:
        if self._beyond is not None and self.output.size > self._beyond:
            self._beyond = None
            self._tell_grown(self.output.size)
