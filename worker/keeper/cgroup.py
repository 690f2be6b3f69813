"""Containment by cgroup v2: a folder in which every process of a job is born, and can't leave.

The mount is looked up, as it need not be /sys/fs/cgroup. Source: cgroups(7), and "Control
Group v2" in the kernel's documentation (cgroup.kill since 5.14, cgroup.events).
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import Final

SWEEP_S: Final = 5.0
SERVICE: Final = "service"  # beside the jobs, where their limits need that: controllers.py


def folder_for(state: Path, process: int | str = "self") -> Path | None:
    """Where the cgroups of this state directory's jobs belong, or None without cgroup v2.

    `process`: their keeper, by its pid.
    """
    lines = _lines(f"/proc/{process}/cgroup")
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        if own is not None and after.startswith("cgroup2 "):
            root, mount = before.split()[3:5]
            inside = Path(mount) / os.path.relpath(own, root)
            if ".." in inside.parts:  # mounted from below our own cgroup
                continue
            seen = state.stat()
            if inside.name == SERVICE:
                inside = inside.parent
            return inside / f"job-worker-{seen.st_dev:x}-{seen.st_ino}"
    return None


def _lines(path: str) -> list[str]:
    return Path(path).read_text(errors="surrogateescape").splitlines()


class Cgroup:
    """One folder. Created by the constructor; raises OSError where that is refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    @property
    def can_kill(self) -> bool:
        return (self.path / "cgroup.kill").exists()

    def pids(self) -> list[int]:
        """Of all processes, those in folders that the job made included."""
        found: list[int] = []
        for folder, _, _ in os.walk(self.path):
            try:
                found += map(int, (Path(folder) / "cgroup.procs").read_text().split())
            except OSError:  # removed meanwhile, or threaded: its processes show in the parent
                continue
        return found

    def has(self, pid: int) -> bool:
        try:
            text = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False
        name = self.path.name
        return any(
            line.startswith("0::") and f"/{name}/" in f"{line}/" for line in text.splitlines()
        )

    def kill(self) -> None:
        """SIGKILL to all, those being born included. Returns before they are gone."""
        (self.path / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Raises OSError while a process is inside."""
        for folder, _, _ in os.walk(self.path, topdown=False):
            Path(folder).rmdir()


def sweep(jobs: Cgroup) -> int:
    """End and remove what an earlier keeper left behind; the number of processes it was."""
    left = jobs.pids()
    if left:
        jobs.kill()
        _wait_empty(jobs)
    for folder in jobs.path.iterdir():
        if folder.is_dir():
            try:
                Cgroup(folder).remove()
            except OSError:  # it can't be ended: its job will be said to be LOST
                continue
    return len(left)


def _wait_empty(cgroup: Cgroup) -> None:
    deadline = time.monotonic() + SWEEP_S
    events = os.open(cgroup.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events, 4096, 0):
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return
    finally:
        os.close(events)
