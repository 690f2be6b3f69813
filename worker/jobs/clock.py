"""Times as the keeper's files have them, in µs since 1970, and as users see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, overload

from worker.state import Usage

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


@overload
def utc(us: int) -> datetime: ...
@overload
def utc(us: None) -> None: ...
@overload
def utc(us: int | None) -> datetime | None: ...


def utc(us: int | None) -> datetime | None:
    """Exact: a float of this size has lost microseconds."""
    return None if us is None else _EPOCH + us * _US


def us_of(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _US


def usage_of(user_us: int | None, system_us: int | None, peak_memory: int | None) -> Usage | None:
    """None where nobody has measured it."""
    if user_us is None or system_us is None:
        return None
    return Usage(user_us * _US, system_us * _US, peak_memory)


def usage_us(usage: Usage | None) -> tuple[int | None, int | None, int | None]:
    if usage is None:
        return None, None, None
    return usage.user_cpu // _US, usage.system_cpu // _US, usage.peak_memory
