"""What a job has used, as the kernel counted it: of its cgroup, else of its leader.

Without a cgroup only what the leader has waited for is known besides itself (getrusage(2)).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage

_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Used:
    """Times in µs, memory in bytes; `oom_kills`: processes that the kernel has killed for it."""

    user_us: int
    system_us: int
    peak_memory: int | None = None
    oom_kills: int = 0


def used_by_leader(seen: struct_rusage) -> Used:
    return Used(round(seen.ru_utime * _US), round(seen.ru_stime * _US))


def used_in(cgroup: Path) -> Used:
    """Raises OSError where there is no such cgroup any more."""
    times = _numbers(cgroup / "cpu.stat")
    peak, events = cgroup / "memory.peak", cgroup / "memory.events"
    return Used(
        user_us=times["user_usec"],
        system_us=times["system_usec"],
        peak_memory=int(peak.read_text()) if peak.exists() else None,
        oom_kills=_numbers(events)["oom_kill"] if events.exists() else 0,
    )


def _numbers(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {name: int(number) for name, number in pairs}
