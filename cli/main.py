"""The entry of workerclient, where Ctrl-C is quiet from the first line on.

It imports nothing slow: what takes some 0.4 s is imported once Ctrl-C has its effect.
"""

import os
import signal
import sys
from types import FrameType
from typing import Final, Never

INTERRUPTED: Final = 130  # cli.statuses is imported too late


def main() -> Never:
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else: as ignored
    if is_heard:
        signal.signal(signal.SIGINT, _end)
    from cli.app import run_line  # noqa: PLC0415

    status = run_line(sys.argv[1:])
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done
    sys.exit(status)


def _end(_number: int, _frame: FrameType | None) -> Never:
    """No exception, which the interpreter's own parts would print. `session` has another way."""
    os._exit(INTERRUPTED)
