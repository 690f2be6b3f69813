"""The steps of the keeper's start, in order.

STATE --lock FD --program FD: used by a program (library)
STATE --lock FD --listen FD,FD --server FD: FD holds the server's command lines
... --resume FD: after its own re-exec; FD holds a Table
--check FD STATE: can this code go on with that Table, and with the jobs of it?
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from worker.keeper import machine
from worker.keeper.child import Surroundings
from worker.keeper.handover import Table
from worker.keeper.keeper import Keeper
from worker.keeper.log import report, say
from worker.keeper.loop import Callback, Loop, Signals, guarded
from worker.keeper.program import Program
from worker.keeper.replacement import Start
from worker.keeper.serving import Service
from worker.keeper.spawn import Spawner
from worker.keeper.strays import end_marked, end_strays

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# They mean something to other daemons alone; unheeded they would end us and all jobs.
NEEDLESS: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
HANDLED: Final = (signal.SIGCHLD, signal.SIGHUP, *ENDING, *NEEDLESS)


def main(words: list[str]) -> int:
    """The exit status. `words` come from our own code and are not checked further."""
    if words[0] == "--check":
        Table.read(int(words[1])).check(Path(words[2]) / "jobs")
        return 0
    state, options = Path(words[0]), dict(zip(words[1::2], words[2::2], strict=True))
    table = _table(options)
    machine.own_descriptors()
    machine.become_parent()
    keeper = _resumed(state, table) if table else _new(state)
    try:
        if "--program" in options:
            return _for_program(keeper, int(options["--program"]))
        return _as_service(keeper, options, words)
    finally:
        for number in HANDLED:  # Python's own end would make them deadly again
            signal.signal(number, signal.SIG_IGN)
        end_strays()
        if keeper.cgroups:
            machine.leave_cgroups(keeper.cgroups)


def _table(options: Mapping[str, str]) -> Table | None:
    if "--resume" not in options:
        return None
    fd = int(options["--resume"])
    try:
        return Table.read(fd)
    finally:
        os.close(fd)


def _new(state: Path) -> Keeper:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, the kernel would reap our children
    around = _surroundings(machine.raised_limit(), machine.lowered_oom_score())
    cgroups, spawner = machine.ways(state, around)
    keeper = Keeper(state / "jobs", cgroups, spawner, Loop())
    keeper.folder.mkdir(mode=0o700, exist_ok=True)
    if not cgroups and (left := end_marked(keeper.folder)):
        say(f"{left} processes that an earlier keeper left were ended")
    return keeper


def _resumed(state: Path, table: Table) -> Keeper:
    spawner = Spawner(_surroundings(table.nofile, table.oom_score), has_clone3=table.has_clone3)
    cgroups = Path(table.cgroups) if table.cgroups else None
    keeper = Keeper(state / "jobs", cgroups, spawner, Loop())
    keeper.grace_s = table.grace_s
    keeper.refused.extend(table.refused)
    keeper.orphans.take_over(table.orphans)
    for kept in table.jobs:
        try:
            keeper.adopt(kept.begun(keeper), kept.facts, kept.counts)
        except Exception as failure:  # noqa: BLE001 - a barrier: it costs that one job
            report(f"the handover of {kept.job}", failure)
            kept.end(cgroups)
    for job in list(keeper.jobs.values()):  # once all are known: who isn't would be an orphan
        guarded(job.resume, job)
    return keeper


def _surroundings(nofile: tuple[int, int], oom_score: str | None) -> Surroundings:
    return Surroundings(os.getpid(), nofile, oom_score, HANDLED)


def _for_program(keeper: Keeper, end: int) -> int:
    with contextlib.suppress(PermissionError):  # it made a session for us already
        os.setsid()
    program = Program(keeper, socket.socket(fileno=end))
    _handle(keeper, program.leave)
    keeper.loop.run()
    return 0


def _as_service(keeper: Keeper, options: Mapping[str, str], words: list[str]) -> int:
    start = Start(
        words,
        server=int(options["--server"]),
        files=[int(options["--lock"]), *map(int, options["--listen"].split(","))],
    )
    service = Service(keeper, start)
    _handle(keeper, service.leave, service.reload)
    if "--resume" in options:
        say(f"SIGHUP: replaced; jobs that go on: {len(keeper.jobs)}")
        guarded(service.start, service)  # it is tried again: jobs run already
    else:
        service.start()
    keeper.loop.run()
    if service.is_dismissed:
        say("no job is left: the service ends")
    return service.status


def _handle(keeper: Keeper, leave: Callback, reload: Callback | None = None) -> None:
    heeded = "SIGHUP reloads, SIGTERM ends" if reload else "SIGTERM ends"
    needless = partial(say, f"SIGUSR1, SIGUSR2 and SIGALRM do nothing: {heeded}")
    keeper.bounded(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    callbacks: dict[int, Callback] = {
        signal.SIGCHLD: keeper.child_ended,
        signal.SIGHUP: reload or (lambda: None),
        **dict.fromkeys(ENDING, leave),
        **dict.fromkeys(NEEDLESS, needless),
    }
    keeper.signals = Signals(keeper.loop, callbacks, keeper)
    # Blocked across a re-exec, as the default of SIGTERM would end us before this line.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
