"""The entry of workercerts, where Ctrl-C is quiet from the first line on.

It imports nothing slow: until the rest is imported nothing is begun that would have to be undone.
"""

import signal
from typing import Never


def main() -> Never:
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else: as ignored
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from certs.app import run_line  # noqa: PLC0415

    run_line(is_heard=is_heard)
