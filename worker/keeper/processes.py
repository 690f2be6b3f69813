"""The processes of this machine, from /proc: source proc(5)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

EXITING: Final = 0x4  # PF_EXITING in linux/sched.h
FIRST: Final = 3  # of the fields behind the name, by proc(5)
LOOKS: Final = 1000  # at one that executes others in a row; each moment is some µs
MARK: Final = b"WORKER_JOB_ID="  # in the environment of each job


class Process(NamedTuple):
    state: str
    parent: int
    session: int
    flags: int
    began: int  # with its pid that of no other process
    environment_end: int  # its address

    @property
    def is_alive(self) -> bool:
        return self.state not in "ZX"

    @property
    def is_exiting(self) -> bool:
        """A zombie, too: it has no memory any more."""
        return bool(self.flags & EXITING)

    @property
    def is_in_execve(self) -> bool:
        """Its new environment has no place yet: for a moment there is none to read."""
        return not (self.environment_end or self.is_exiting)


def process(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    numbers = (int(fields[number - FIRST]) for number in (4, 6, 9, 22, 51))
    return Process(fields[0], *numbers)


def children_of(pid: int) -> set[int]:
    """Zombies among them. Of ourselves all, as only we reap them; of others some may be missed."""
    found: set[int] = set()
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.update(map(int, (task / "children").read_text().split()))
    except OSError:  # it is gone
        pass
    return found


def descent(roots: Iterable[int]) -> set[int]:
    """All that descend from `roots`, and these themselves."""
    found: set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children_of(pid)
    return found


def has_threads(pid: int) -> bool:
    """Others than its first, which may be a zombie while they run."""
    try:
        others = {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - {pid}
    except OSError:
        return False
    return any((seen := process(other)) and seen.is_alive for other in others)


def mark_of(pid: int) -> str:
    """The job that its environment names, as it was when it was executed; else nothing."""
    environment = b""
    try:
        for _ in range(LOOKS):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            seen = process(pid)
            if environment or not (seen and seen.is_in_execve):
                break
    except OSError:
        return ""
    for entry in environment.split(b"\0"):
        if entry.startswith(MARK):
            return entry.removeprefix(MARK).decode(errors="replace")
    return ""


def tracer_of(pid: int) -> int:
    """The process that debugs it, or 0."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return 0
    return int(status.rpartition("TracerPid:")[2].split()[0])


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
