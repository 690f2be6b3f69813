"""The steps of the keeper's start, in order."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Final

from worker.keeper.cgroup import Cgroup, folder_for, sweep
from worker.keeper.child import Surroundings
from worker.keeper.keeper import Keeper
from worker.keeper.log import say
from worker.keeper.loop import Callback, Loop, Signals
from worker.keeper.program import Program
from worker.keeper.serving import Service
from worker.keeper.spawn import Spawner

PR_SET_DUMPABLE: Final = 4
PR_SET_CHILD_SUBREAPER: Final = 36
OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
LOWERED: Final = "-500"
SHUTDOWN_GRACE_S: Final = "10"
HANDLED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(words: list[str]) -> int:
    """The exit status. `words` come from our own code and are not checked further."""
    state, options = Path(words[0]), dict(zip(words[1::2], words[2::2], strict=True))
    _own_descriptors()
    given = _raise_limit(resource.RLIMIT_NOFILE)
    around = Surroundings(os.getpid(), given, _lower_oom_score(), HANDLED)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    cgroups, spawner = _ways(state, around)
    loop = Loop()
    keeper = Keeper(state / "jobs", cgroups, spawner, loop)
    keeper.bounded(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    keeper.folder.mkdir(mode=0o700, exist_ok=True)
    try:
        if "--program" in options:
            return _for_program(keeper, int(options["--program"]))
        files = [int(options["--lock"]), *map(int, options["--listen"].split(","))]
        argv = _command(int(options["--server"]))
        grace_s = float(options.get("--shutdown-grace", SHUTDOWN_GRACE_S))
        return _as_service(keeper, Service(keeper, argv, files, grace_s))
    finally:
        if cgroups:
            _leave(cgroups)


def _own_descriptors() -> None:
    """0 to 2 are open, and no job inherits any other."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are what it is about
        if int(name) > 2:  # noqa: PLR2004
            with contextlib.suppress(OSError):  # the one that this listing was read from
                fcntl.fcntl(int(name), fcntl.F_SETFD, fcntl.FD_CLOEXEC)


def _command(file: int) -> list[str]:
    """The server's. In a file, so that whoever looks for the server doesn't find us by it."""
    with open(file, encoding="ascii") as text:
        text.seek(0)
        command: list[str] = json.load(text)
        return command


def _for_program(keeper: Keeper, end: int) -> int:
    with contextlib.suppress(PermissionError):  # it made a session for us already
        os.setsid()
    Program(keeper, socket.socket(fileno=end))
    _handle(keeper, lambda: keeper.leave(None))
    keeper.loop.run()
    return 0


def _as_service(keeper: Keeper, service: Service) -> int:
    _handle(keeper, service.leave)
    service.start()
    keeper.loop.run()
    return service.status


def _handle(keeper: Keeper, leave: Callback) -> None:
    def say_no() -> None:
        say("SIGHUP: a planned restart is not built yet; nothing was done")

    callbacks = (keeper.reap_strangers, leave, leave, say_no)
    Signals(keeper.loop, dict(zip(HANDLED, callbacks, strict=True)), keeper)


def _ways(state: Path, around: Surroundings) -> tuple[Path | None, Spawner]:
    """Which way processes are started and contained here: tried, not guessed; said in one line."""
    with_clone3 = Spawner(around, has_clone3=True)
    with_fork = Spawner(around, has_clone3=False)
    cgroups = _cgroups(state)
    if cgroups:
        probe = Cgroup(cgroups / "probe")
        try:
            for spawner, name in ((with_clone3, "clone3"), (with_fork, "fork")):
                if spawner.works(probe):
                    say(f"jobs start by {name} in cgroups below {cgroups}")
                    return cgroups, spawner
        finally:
            probe.remove()
    name, spawner = ("clone3", with_clone3) if with_clone3.works(None) else ("fork", with_fork)
    say(f"jobs start by {name}, without cgroups: only their session is contained")
    return None, spawner


def _cgroups(state: Path) -> Path | None:
    try:
        folder = folder_for(state)
        if folder is None:
            return None
        jobs = Cgroup(folder / "jobs")
        left = sweep(jobs)
    except OSError as error:
        say(f"no cgroups: {error}")
        return None
    if left:
        say(f"{left} processes that an earlier keeper left were ended")
    return jobs.path if jobs.can_kill else None


def _leave(cgroups: Path) -> None:
    with contextlib.suppress(OSError):  # what could not be ended keeps its folder
        Cgroup(cgroups).remove()
        cgroups.parent.rmdir()


def _raise_limit(kind: int) -> tuple[int, int]:
    """What was given; the soft limit becomes the hard one."""
    given = resource.getrlimit(kind)
    resource.setrlimit(kind, (given[1], given[1]))
    return given


def _lower_oom_score() -> bytes | None:
    """What it was, for the jobs; None if it could not be lowered."""
    try:
        before = OOM_SCORE.read_bytes()
        OOM_SCORE.write_text(LOWERED)
    except OSError:
        return None
    return before
