"""The library's own keeper: a child of this program, in a session of its own.

So Ctrl-C at a terminal reaches the program alone, which then ends its jobs in order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from worker.errors import SetupError, StateInUse
from worker.jobs.directory import RETRY_S, attempt, owner_of
from worker.keeper import messages
from worker.spec import DEFAULT_GRACE_PERIOD

_FOLDER: Final = Path(messages.__file__).parent
_HANDOVER_S: Final = DEFAULT_GRACE_PERIOD + 10.0
_EXIT_S: Final = 10.0  # it has closed its socket by then and has nothing left to do

log = logging.getLogger(__name__)


async def locked(state: Path) -> int:
    """As directory.lock; waits where the last owner is dead, and its keeper still ends its jobs."""
    deadline = time.monotonic() + _HANDOVER_S
    while isinstance(tried := attempt(state, deadline), StateInUse):
        if owner_of(state) is not None:
            raise tried
        await asyncio.sleep(RETRY_S)
    return tried


@asynccontextmanager
async def keeper_of(state: Path, lock: int) -> AsyncIterator[tuple[socket.socket, int]]:
    """The socket to a new keeper of `state`, which goes once that is closed; and its pid."""
    _check_kernel()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _started(state, lock, theirs.fileno())
        try:
            yield ours, process.pid
        finally:
            ours.close()
            await _reap(process)


def _check_kernel() -> None:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        raise SetupError(f"Linux 5.4 or newer is needed, with pidfd_open(2): {error}") from error


def _started(state: Path, lock: int, end: int) -> subprocess.Popen[bytes]:
    # The folder, not -m: `python -m worker.keeper` takes worker/ from the current directory.
    command = [sys.executable, "-I", "-S", str(_FOLDER), str(state)]
    command += ["--lock", str(lock), "--program", str(end)]
    try:
        return subprocess.Popen(
            command,
            pass_fds=(lock, end),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except OSError as error:
        raise SetupError(f"the keeper can't be started: {error}") from error


async def _reap(process: subprocess.Popen[bytes]) -> None:
    """Cancelled or not: what the keeper still has to do takes ms, and a zombie would stay."""
    # Not Popen.wait: it would block, and who else reaps here may take the child from under it.
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        process.poll()
        return
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, is_over.set)
    limit = loop.call_later(_EXIT_S, is_over.set)
    cancelled: asyncio.CancelledError | None = None
    while not is_over.is_set():
        try:
            await is_over.wait()
        except asyncio.CancelledError as error:
            cancelled = error
    limit.cancel()
    loop.remove_reader(pidfd)
    os.close(pidfd)
    if process.poll() is None:
        log.error("the keeper (pid %d) is still ending jobs", process.pid)
    if cancelled is not None:
        raise cancelled
