"""SIGHUP: a new server, and new code for ourselves, if both are sure to start.

First the new server's --check, then our own new code's on a snapshot of our table; only then is
anything touched. The server has gone when `execute` is called: nobody is connected, so there is
no half-read frame to be handed over.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from worker.keeper.checks import Checks, Command
from worker.keeper.handover import Kept, Table
from worker.keeper.keeper import Keeper
from worker.keeper.log import report, say

LARGEST: Final = 2**20
OURSELVES: Final = (sys.executable, "-I", "-S", str(Path(__file__).parent))


class Then(Protocol):
    def __call__(self, *, is_good: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Start:
    """How we were started: our `words`, what holds the `server`'s, and the `files` it inherits.

    `server` holds two command lines as JSON: of one that serves, and of one that only checks.
    """

    words: Sequence[str]
    server: int
    files: Sequence[int]

    def server_command(self, does: str, keeper: Keeper, *end: int) -> Command:
        """To "serve" over `end`, or to "check" whether one could."""
        argv = json.loads(os.pread(self.server, LARGEST, 0))[does]
        argv += ["--controllers", ",".join(sorted(keeper.controllers))]
        for fd in end:
            argv += ["--keeper", str(fd)]
        return Command(argv, [*self.files, *end])

    def again(self, table: int) -> list[str]:
        """The command line of our new code. What an earlier one was handed is long closed."""
        words = list(self.words)
        if "--resume" in words:
            at = words.index("--resume")
            del words[at : at + 2]
        return [*OURSELVES, *words, "--resume", str(table)]


class Replacement:
    def __init__(self, keeper: Keeper, start: Start) -> None:
        self.is_checked = False
        self._keeper, self._start = keeper, start
        self._checks: Checks | None = None

    def check(self, then: Then) -> None:
        """Raises OSError where it can't even be tried."""
        table = table_of(self._keeper).write()

        def conclude(failed: Command | None) -> None:
            os.close(table)
            self.is_checked = failed is None
            if failed:
                say("SIGHUP: nothing was replaced, as the check before it failed")
            then(is_good=self.is_checked)

        state = str(self._keeper.folder.parent)
        commands = [
            self._start.server_command("check", self._keeper),
            Command([*OURSELVES, "--check", str(table), state], [table]),
        ]
        try:
            self._checks = Checks(self._keeper.loop, commands, self._keeper.children, conclude)
        except BaseException:
            os.close(table)
            raise

    def cancel(self) -> None:
        """The end of all comes first: no check outlives it."""
        if self._checks:
            self._checks.cancel()

    def execute(self) -> None:
        """Become the new code. Returns only if that is refused."""
        # Until its handlers are there, a signal would end the new code before it has begun.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        kept = [self._start.server, *self._start.files]
        try:
            table = table_of(self._keeper)
            kept += [fd for job in table.jobs for fd in job.descriptors]
            kept.append(table.write())
            self._keeper.put_signals_back()
            for fd in kept:
                os.set_inheritable(fd, True)  # noqa: FBT003 - os's own
            os.execv(sys.executable, self._start.again(kept[-1]))  # noqa: S606 - no shell
        except Exception as failure:  # noqa: BLE001 - a barrier: the old code goes on
            report("SIGHUP: the old code goes on", failure)
        finally:
            for fd in kept:
                os.set_inheritable(fd, False)  # noqa: FBT003 - os's own
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def table_of(keeper: Keeper) -> Table:
    around = keeper.spawner.around
    return Table(
        nofile=around.nofile,
        oom_score=around.oom_score,
        cgroups=str(keeper.cgroups) if keeper.cgroups else None,
        has_clone3=keeper.spawner.has_clone3,
        grace_s=keeper.grace_s,
        jobs=[Kept.of(job) for job in keeper.jobs.values()],
        refused=[*keeper.refused],
        orphans=keeper.orphans.judged,
    )
