"""The processes of this machine at one moment, from /proc: source proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

MARK: Final = b"WORKER_JOB_ID="  # in the environment of each job


class Process(NamedTuple):
    state: str
    parent: int
    session: int

    @property
    def is_alive(self) -> bool:
        return self.state not in "ZX"


Snapshot = Mapping[int, Process]


def process(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, parent, _, session, *_ = text.rpartition(")")[2].split()
    return Process(state, int(parent), int(session))


def snapshot() -> Snapshot:
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - names
    return {pid: seen for pid in pids if (seen := process(pid))}


def below(roots: Iterable[int], seen: Snapshot) -> set[int]:
    """All that descend from `roots`, and these themselves."""
    children: dict[int, list[int]] = {}
    for pid, each in seen.items():
        children.setdefault(each.parent, []).append(pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, [])
    return found


def mark_of(pid: int) -> str:
    """The job that its environment names, as it was when it was executed; else nothing."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    for entry in environment.split(b"\0"):
        if entry.startswith(MARK):
            return entry.removeprefix(MARK).decode(errors="replace")
    return ""


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
