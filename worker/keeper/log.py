"""The keeper's log: a line on stderr, and never a moment of waiting for whoever reads it."""

from __future__ import annotations

import os
import select
import time
import traceback

STDERR = 2
# POLLOUT promises room for PIPE_BUF bytes; a longer line could block.
MOST = select.PIPE_BUF - 1

_lost = 0


def say(text: str) -> None:
    """Write `text` if stderr takes it now; else count it, and say so with the next line."""
    global _lost  # noqa: PLW0603 - one stderr a process
    if _lost:
        text = f"({_lost} lines could not be written) {text}"
    line = f"{time.strftime('%F %T')} keeper: {text}".encode(errors="backslashreplace")
    poll = select.poll()
    poll.register(STDERR, select.POLLOUT)
    try:
        if poll.poll(0) == [(STDERR, select.POLLOUT)]:
            os.write(STDERR, line[:MOST] + b"\n")
            _lost = 0
            return
    except OSError:  # a full disk behind stderr
        pass
    _lost += 1


def report(where: object, failure: BaseException) -> None:
    """The traceback of what a barrier caught; its end is what counts, so its start is cut."""
    trace = "".join(traceback.format_exception(failure))
    say(f"fault in {where}: {trace[-3000:].rstrip()}")
