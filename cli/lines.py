"""How output is shown: as it stands; with its time, its job before each line; each line as JSON.

A stamp stands before the first byte of a line only, however many chunks bring it. What bears
the name of a job, or is JSON, is written a line at a time, so that lines of several jobs don't mix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from cli.descriptors import STDERR, STDOUT
from cli.render import iso, one_line
from worker.state import Chunk, Stream

LONGEST: Final = 1024 * 1024  # bytes: a longer line is written in pieces
Piece = tuple[int, bytes]  # a descriptor, and what is for it


@dataclass(frozen=True, slots=True)
class Look:
    timestamps: bool = False
    names: bool = False  # of the job
    json: bool = False


@dataclass(slots=True)
class Line:
    """One that isn't at its end."""

    offset: int
    time: datetime | None
    data: bytearray = field(default_factory=bytearray)


class Lines:
    """Of one job."""

    def __init__(self, job: UUID, look: Look) -> None:
        self._job = job
        self._look = look
        self._is_whole = look.names or look.json
        self._open: dict[Stream, Line] = {}
        self.offset = 0  # all before it is shown

    @property
    def tell_gaps(self) -> bool:
        """In their place; else they are to be said."""
        return self._look.json

    def dropped(self, chunk: Chunk) -> str:
        where = f"before offset {chunk.offset}"
        return f"{self._name}{chunk.skipped} bytes of output were dropped {where}"

    def take(self, chunk: Chunk) -> Iterator[Piece]:
        if chunk.skipped and self._is_whole:
            yield from self.rest()  # what was before the gap is shown before it
        if chunk.skipped and self.tell_gaps:
            yield STDOUT, self._gap(chunk)
        if self._look == Look():
            self.offset = chunk.offset
            yield descriptor_of(chunk.stream), chunk.data
            return
        offset = chunk.offset
        for part in _cut(chunk):
            yield from self._add(chunk, offset, part)
            offset += len(part)

    def count(self, written: int) -> None:
        """Of what stands as it is; of any other look `pass_by` alone tells."""
        if self._look == Look():
            self.offset += written

    def pass_by(self, chunk: Chunk) -> None:
        """What `take` has given of it is written."""
        kept = [line.offset for line in self._open.values()] if self._is_whole else []
        self.offset = min([*kept, chunk.offset + len(chunk.data)])

    def rest(self) -> Iterator[Piece]:
        """No more of them comes: what has no line end is complete."""
        lines = sorted(self._open.items(), key=lambda each: each[1].offset)
        self._open.clear()
        for stream, line in lines:
            if self._is_whole and line.data:
                yield self._shown(stream, line)

    def _add(self, chunk: Chunk, offset: int, part: bytes) -> Iterator[Piece]:
        line = self._open.get(chunk.stream)
        if line is None:
            line = self._open[chunk.stream] = Line(offset, chunk.time)
            if not self._is_whole:
                yield descriptor_of(chunk.stream), self._before(line)
        if self._is_whole:
            line.data += part
        else:
            yield descriptor_of(chunk.stream), part
        if part.endswith(b"\n") or len(line.data) >= LONGEST:
            del self._open[chunk.stream]
            if self._is_whole:
                yield self._shown(chunk.stream, line)

    def _before(self, line: Line) -> bytes:
        stamp = f"{iso(line.time)} " if self._look.timestamps and line.time else ""
        return f"{self._name}{stamp}".encode()

    @property
    def _name(self) -> str:
        return f"{str(self._job)[:8]} " if self._look.names else ""

    def _shown(self, stream: Stream, line: Line) -> Piece:
        if self._look.json:
            return STDOUT, self._as_json(stream, line).encode()
        data = bytes(line.data)
        end = b"" if data.endswith(b"\n") else b"\n"
        return descriptor_of(stream), self._before(line) + data + end

    def _as_json(self, stream: Stream, line: Line) -> str:
        """`text` has its line end, if there is one: all texts together are the output."""
        return one_line(
            {
                "jobID": str(self._job),
                "offset": line.offset,
                "stream": stream,
                "time": line.time,
                "text": line.data.decode(errors="surrogateescape"),
            }
        )

    def _gap(self, chunk: Chunk) -> bytes:
        gap = {"jobID": str(self._job), "offset": chunk.offset, "skipped": chunk.skipped}
        return one_line(gap).encode()


def _cut(chunk: Chunk) -> list[bytes]:
    r"""Behind each \n; bytes.splitlines also cuts at \r."""
    parts = chunk.data.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def descriptor_of(stream: Stream) -> int:
    return STDERR if stream is Stream.STDERR else STDOUT
