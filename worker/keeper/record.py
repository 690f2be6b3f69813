"""The folder of one job: claimed, written while it runs, closed by `ended`.

Order is all: `request` before anything is started, the index before the output, `ended` last
and by a rename, into space that was taken at the start, so that a full disk can't lose it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from worker.keeper.facts import Counts, Exit, Extent, Facts, Stopped
from worker.keeper.frames import checked, to_json
from worker.keeper.index import Index
from worker.keeper.log import say
from worker.keeper.messages import Spawn
from worker.keeper.records import FILE_VERSION, EndRecord, Kind

ENDED_SIZE: Final = 4096
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Record:
    """Of `folder`, whose files are made unless `extent` tells of its index. Raises OSError."""

    def __init__(self, folder: Path, extent: Extent | None = None) -> None:
        self.folder = folder
        how = os.O_RDWR | os.O_CLOEXEC if extent else _NEW
        with contextlib.ExitStack() as files:
            self.output = os.open(folder / "output", how, 0o600)
            files.callback(os.close, self.output)
            index = os.open(folder / "index", how, 0o600)
            files.callback(os.close, index)
            self.index = Index(index, extent)
            files.callback(self.index.trim)
            self._files = files.pop_all()

    @classmethod
    def claimed(cls, folder: Path, request: Spawn) -> Self:
        """Claims it by mkdir. Raises FileExistsError if it is claimed, OSError without room."""
        folder.mkdir(mode=0o700)
        with contextlib.ExitStack() as undo:
            undo.callback(remove, folder)
            _fill(folder / "request", versioned(request))
            _fill(folder / "ended.part", b" " * ENDED_SIZE)
            record = cls(folder)
            undo.pop_all()
        return record

    def end(self, record: EndRecord) -> None:
        """Nothing is written after this. What can't be is said, and the job is LOST."""
        text = versioned(record)
        if len(text) > ENDED_SIZE:
            raise ValueError(f"ended: {len(text)} bytes")
        try:
            self.close()  # the index is trimmed first: `ended` promises that all is there
            self._write_end(text)
        except OSError as error:  # somebody has removed the folder, or the disk is broken
            say(f"job {self.folder.name}: its end can't be recorded: {error}")

    def _write_end(self, text: bytes) -> None:
        fd = os.open(self.folder / "ended.part", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, text, 0)
        finally:
            os.close(fd)
        (self.folder / "ended.part").rename(self.folder / "ended")

    def close(self) -> None:
        """Closing twice is no error."""
        self._files.close()


def request_in(folder: Path) -> Spawn:
    content = json.loads((folder / "request").read_bytes())["content"]
    return checked(Spawn, content, is_file=True)


def remove(folder: Path) -> None:
    """There was no job."""
    for name in ("request", "ended.part", "output", "index"):  # a list would need a descriptor
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def versioned(content: Spawn | EndRecord) -> bytes:
    """A file as it is written: one object with its version and its content."""
    return b'{"version":%d,"content":%s}' % (FILE_VERSION, to_json(content))


def _fill(path: Path, content: bytes) -> None:
    fd = os.open(path, _NEW, 0o600)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(fd)


def end_record(facts: Facts, counts: Counts, request: Spawn, now_us: int) -> EndRecord:
    """What is true of a job that is over; `facts.exit` was seen before TREE_EMPTY was."""
    seen = facts.exit or Exit(None, None, now_us)
    started_us = facts.started_us or seen.at_us
    exited_us = max(seen.at_us, started_us)  # the clock may have been set back
    stopped, used = _why(facts, seen, request), facts.used
    return EndRecord(
        code=seen.code,
        signal=seen.signal,
        cause=stopped.cause,
        stopped_by=stopped.by,
        reason=stopped.reason,
        started_us=started_us,
        leader_exited_us=exited_us,
        ended_us=max(now_us, exited_us),
        stdout=counts.sizes[Kind.RUN_STDOUT],
        stderr=counts.sizes[Kind.RUN_STDERR],
        merged=counts.sizes[Kind.RUN_MERGED],
        dropped=counts.dropped,
        user_us=used.user_us if used else None,
        system_us=used.system_us if used else None,
        peak_memory=used.peak_memory if used else None,
    )


def _why(facts: Facts, seen: Exit, request: Spawn) -> Stopped:
    """Out of memory only by the kernel's own count: a 137 alone says nothing."""
    stopped = facts.stopped or Stopped(None, "own exit")
    kills = facts.used.oom_kills if facts.used else 0
    if not kills:
        return stopped
    limit = "" if request.memory is None else f" (limit {request.memory} bytes)"
    text = f"out of memory{limit}: the kernel killed {kills} of its processes"
    if facts.stopped is None and seen.signal == signal.SIGKILL:
        return Stopped(None, "memory limit", text)
    return replace(stopped, reason="; ".join(filter(None, (stopped.reason, text))))
