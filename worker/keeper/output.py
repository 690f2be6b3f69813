"""One job's output on its way from the pipes into the file, inside the kernel by splice(2).

There is no moment in which a byte is only in our memory. A job is never blocked: past its cap,
or on a full disk, bytes are dropped, counted, and marked in the index.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import termios
import time
from functools import cache
from typing import Final

from worker.keeper.facts import Counts
from worker.keeper.index import AHEAD, Index
from worker.keeper.log import say
from worker.keeper.records import Kind

PIECE: Final = 256 * 1024  # a splice; larger ones are slower, and so are larger pipes
STAMP_US: Final = 10_000  # a run that goes on for longer gets another time
RETRY_S: Final = 0.1  # on a full disk
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
_COUNT: Final = struct.Struct("i")


@cache
def _say_no_splice() -> None:
    say("this file system has no splice: output is copied")


def pipe() -> tuple[int, int]:
    """Both ends; ours, the reading one, never blocks."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    with contextlib.suppress(PermissionError):  # past an ordinary user's share: pipe(7)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIECE)
    return reading, writing


def stdin_pipe() -> tuple[int, int]:
    """Both ends; ours, the writing one, never blocks."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)
    return reading, writing


class Output:
    """The bytes of all streams, in the order in which they were taken out of the pipes."""

    def __init__(self, fd: int, index: Index, cap: int, counts: Counts | None = None) -> None:
        self.counts = counts or Counts()
        self._fd = fd
        self._index = index
        self._cap = cap
        self._stream: Kind | None = None
        self._stamped_us = 0
        self._retry_at = 0.0
        self._can_splice = True

    @property
    def size(self) -> int:
        return self.counts.size

    def take(self, pipe: int, stream: Kind) -> int:
        """Move what one turn may; the number of bytes. 0: somebody else has emptied the pipe."""
        before = self.size + self.counts.dropped
        with contextlib.suppress(BlockingIOError):
            self._take(pipe, stream)
        return self.size + self.counts.dropped - before

    def drain(self, pipe: int, stream: Kind) -> None:
        """Take what is in the pipe now, and no more: a stranger may hold it and write on."""
        left = _COUNT.unpack(fcntl.ioctl(pipe, termios.FIONREAD, bytes(_COUNT.size)))[0]
        while left > 0:
            moved = self.take(pipe, stream)
            if not moved:
                return
            left -= moved

    def _take(self, pipe: int, stream: Kind) -> None:
        if self._room() > 0 and time.monotonic() >= self._retry_at:
            try:
                self._keep(pipe, stream)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self._retry_at = time.monotonic() + RETRY_S
            else:
                return
        lost = len(os.read(pipe, PIECE))
        if lost:
            self._lose(stream, lost)

    def _room(self) -> int:
        """The index counts too, with what it may still have to say."""
        return self._cap - self.size - self._index.size - AHEAD

    def _keep(self, pipe: int, stream: Kind) -> None:
        now_us = time.time_ns() // 1000
        if stream is not self._stream or not 0 <= now_us - self._stamped_us < STAMP_US:
            self._index.run(stream, self.size, now_us)
            self._stream, self._stamped_us = stream, now_us
        most = max(1, min(PIECE, self._room()))
        if self._can_splice:
            try:
                flags = os.SPLICE_F_NONBLOCK
                self._grow(
                    stream, os.splice(pipe, self._fd, most, offset_dst=self.size, flags=flags)
                )
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._can_splice = False
                _say_no_splice()
            else:
                return
        self._copy(pipe, stream, most)

    def _copy(self, pipe: int, stream: Kind, most: int) -> None:
        data = os.read(pipe, most)
        try:
            kept = os.pwrite(self._fd, data, self.size)
        except OSError as error:
            if error.errno not in FULL:
                raise
            kept = 0
        self._grow(stream, kept)
        if kept < len(data):
            self._lose(stream, len(data) - kept)

    def _grow(self, stream: Kind, count: int) -> None:
        self.counts.size += count
        self.counts.sizes[stream] += count

    def _lose(self, stream: Kind, count: int) -> None:
        self._index.gap(stream, self.size, count)
        self.counts.dropped += count
        self._stream = None  # the next byte that is kept begins a run
