"""Client and command line are for any system, the rest is for Linux."""

import subprocess
import sys

LACKING = """
import asyncio, os, sys  # asyncio knows by itself what its system has

for module in ("fcntl", "grp", "pwd", "resource", "sqlite3", "termios"):
    sys.modules[module] = None
for name in ("splice", "fork", "waitid", "pidfd_open", "memfd_create", "eventfd"):
    if hasattr(os, name):
        delattr(os, name)
del asyncio.AbstractEventLoop.add_signal_handler

import cli.main, worker.client
assert not [name for name in sys.modules if name.startswith(("worker.jobs", "worker.server",
            "worker.keeper"))]
"""


def test_client_and_cli_need_nothing_that_only_linux_has() -> None:
    subprocess.run([sys.executable, "-c", LACKING], check=True, timeout=30)
