"""What a job may use, and by whom each limit is kept: values for library, server and client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from worker.errors import InvalidRequest
from worker.open_enum import OpenEnum

MAX_TIME: Final = 10 * 365 * 24 * 3600.0  # seconds
MAX_COUNT: Final = 2**53
MAX_CPUS: Final = 10**8  # cpu.max takes less than 2^44 µs in each 100 ms
LEAST_OUTPUT: Final = 4096  # with less the index, some 100 bytes at least, leaves no room
MAX_PROCESSES: Final = 2**22  # the kernel's PID_MAX_LIMIT: pids.max takes no more
NICEST, LEAST_NICE = 19, -20


class Enforcement(OpenEnum):
    KEEPER = "keeper"  # measured and ended by the keeper
    CGROUP = "cgroup"  # by the kernel, for the whole tree
    RLIMIT = "rlimit"  # by the kernel, for each process by itself


@dataclass(frozen=True, slots=True)
class EnforcedLimit:
    """`name` as on the wire; `value` in seconds, bytes or a count."""

    name: str
    value: float
    enforcement: Enforcement | None  # None: the server doesn't say


@dataclass(frozen=True, slots=True)
class Limits:
    """None: without one, but for the server's own. Raises InvalidRequest, naming the field.

    `time`: seconds from execve(2) on. `memory`, `output`, `core`: bytes. `cpus`: 1.5 = one and a
    half processors. `processes`: of the whole tree. `open_files`, `core`, `nice`: of each process.
    """

    time: float | None = None
    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None
    output: int | None = None
    open_files: int | None = None
    core: int | None = None
    nice: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                _check(WIRE_NAME[field.name], value, whole=field.name not in ("time", "cpus"))

    def or_else(self, others: Limits) -> Limits:
        """Where there is no limit, that of `others`."""
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in values.items():
            values[name] = getattr(others, name) if value is None else value
        return Limits(**values)

    def check_within(self, most: Limits) -> None:
        """Raises InvalidRequest for the first that is beyond that of `most`."""
        for each in fields(self):
            value, bound = getattr(self, each.name), getattr(most, each.name)
            if value is None or bound is None:
                continue
            if value < bound if each.name == "nice" else value > bound:
                word = "least" if each.name == "nice" else "most"
                raise InvalidRequest(
                    f"limits.{WIRE_NAME[each.name]} is {value}; {bound} is the {word} here"
                )


def enforced(values: Mapping[str, float | None]) -> tuple[EnforcedLimit, ...]:
    """Those of a recorded job, by field, also beyond what may be asked for today."""
    return tuple(
        EnforcedLimit(WIRE_NAME[name], float(value), by)
        for name, by in BY.items()
        if (value := values[name]) is not None
    )


NO_LIMITS: Final = Limits()
WIRE_NAME: Final[Mapping[str, str]] = {
    field.name: {"open_files": "openFiles"}.get(field.name, field.name) for field in fields(Limits)
}
CONTROLLERS: Final[Mapping[str, str]] = {"memory": "memory", "cpus": "cpu", "processes": "pids"}
BY: Final[Mapping[str, Enforcement]] = {
    "time": Enforcement.KEEPER,
    "memory": Enforcement.CGROUP,
    "cpus": Enforcement.CGROUP,
    "processes": Enforcement.CGROUP,
    "output": Enforcement.KEEPER,
    "open_files": Enforcement.RLIMIT,
    "core": Enforcement.RLIMIT,
    "nice": Enforcement.RLIMIT,
}
_RANGE: Final[Mapping[str, tuple[int, float]]] = {  # where it isn't 1 to MAX_COUNT
    "time": (0, MAX_TIME),
    "cpus": (0, MAX_CPUS),
    "processes": (1, MAX_PROCESSES),
    "output": (LEAST_OUTPUT, MAX_COUNT),
    "core": (0, MAX_COUNT),
    "nice": (LEAST_NICE, NICEST),
}


def _check(name: str, value: object, *, whole: bool) -> None:
    kind = int if whole else (int, float)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidRequest(f"limits.{name} must be a number, not {type(value).__name__}")
    least, most = _RANGE.get(name, (1 if whole else 0, MAX_COUNT))
    if not (least <= value <= most and (whole or value > 0)):
        words = f"{least} to {most}" if whole else f"more than 0, and {most:.0f} at most"
        raise InvalidRequest(f"limits.{name} must be {words}")
