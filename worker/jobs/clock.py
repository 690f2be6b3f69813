"""Times as the keeper's files have them, in µs since 1970, and as users see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, overload

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
