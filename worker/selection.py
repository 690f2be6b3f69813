"""Which part of an output is asked for: for library, server and client alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.errors import InvalidRequest
from worker.state import Stream

MAX_OFFSET: Final = 2**64 - 1  # what the wire can say
SELECTABLE: Final = (Stream.ALL, Stream.STDOUT, Stream.STDERR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """From `offset` on, or the last `tail_bytes` or `tail_lines` that are there now, of `stream`.

    Offsets are positions in the whole output, also with one stream selected. With `follow` it
    goes on until the job has ended. A line ends at a newline; an unfinished last one counts. A
    tail looks through at most 16 MiB for lines, and 262,144 runs of output for one stream: it is
    shorter where what is asked for lies further back. Raises InvalidRequest.
    """

    offset: int = 0
    stream: Stream = Stream.ALL
    tail_bytes: int | None = None
    tail_lines: int | None = None
    follow: bool = True
    tagged: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.offset <= MAX_OFFSET:
            raise InvalidRequest(f"offset must be 0 to {MAX_OFFSET}, not {self.offset}")
        if self.stream not in SELECTABLE:
            raise InvalidRequest(f"stream: {self.stream} can't be asked for: stdout or stderr can")
        if (self.offset > 0) + (self.tail_bytes is not None) + (self.tail_lines is not None) > 1:
            raise InvalidRequest("offset, tailBytes and tailLines: only one of them can be given")
        for name, tail in (("tailBytes", self.tail_bytes), ("tailLines", self.tail_lines)):
            if tail is not None and not 0 <= tail <= MAX_OFFSET:
                raise InvalidRequest(f"{name} must be 0 to {MAX_OFFSET}, not {tail}")

    @property
    def is_tail(self) -> bool:
        return self.tail_bytes is not None or self.tail_lines is not None


EVERYTHING: Final = Selection()
