"""How long a certificate is still valid, in the same words from server and `workercerts`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

WARN_DAYS: Final = 30
_DAY: Final = timedelta(days=1)


def days_left(last: datetime, now: datetime) -> int:
    """Whole ones; negative once it has expired."""
    return (last - now) // _DAY


def is_near(last: datetime, now: datetime) -> bool:
    return last - now < WARN_DAYS * _DAY


def in_words(last: datetime, now: datetime) -> str:
    """As the end of a sentence about the certificate."""
    when = f"{last:%Y-%m-%d %H:%M} UTC"
    left = days_left(last, now)
    if left < 0:
        return f"has expired at {when}"
    if left == 0:
        return f"expires at {when}, in less than a day"
    return f"expires at {when}, in {left} day{'s' if left > 1 else ''}"
