"""The entry of workerclient. It imports nothing slow, so that an early Ctrl-C is quiet, too."""

import signal
import sys
from typing import Never


def main() -> Never:
    has_handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else: as ignored
    if has_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.app import run_line  # noqa: PLC0415 - takes some 0.4 s

    if has_handler:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = run_line(sys.argv[1:])
    if has_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)
