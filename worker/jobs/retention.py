"""How long ended jobs are kept, and which have to go. Decided here, done by removal.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of ended jobs; the oldest go until all three hold.

    `age`: seconds that the service has run since the job's end. `jobs`: how many. `bytes`: of all
    their files, which are output and index for the most part.
    """

    age: float = 7 * 24 * 3600.0
    jobs: int = 10_000
    bytes: int = 10 * 2**30


DEFAULT_RETENTION: Final = Retention()


@dataclass(frozen=True, slots=True)
class Total:
    """Of all ended jobs."""

    jobs: int
    size: int

    def plus(self, jobs: int, size: int) -> Total:
        return Total(self.jobs + jobs, self.size + size)


@dataclass(frozen=True, slots=True)
class Kept:
    """An ended job; `final_s` is the service time at which it became final."""

    id: UUID
    final_s: float
    size: int


def due(
    oldest_first: Iterable[Kept], total: Total, limits: Retention, now_s: float
) -> Iterator[tuple[Kept, str]]:
    """Those that have to go, each with the reason.

    Whether one is due depends on it and on the younger ones alone: an older one that stays all
    the same, as it is being watched, takes no younger one's place.
    """
    jobs, size = total.jobs, total.size
    for job in oldest_first:
        if now_s - job.final_s >= limits.age:
            why = f"older than {limits.age:g} s"
        elif jobs > limits.jobs:
            why = f"more than {limits.jobs} ended jobs"
        elif size > limits.bytes:
            why = f"more than {limits.bytes} bytes"
        else:
            return
        yield job, why
        jobs, size = jobs - 1, size - job.size
