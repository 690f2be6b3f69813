"""Signals by name, as kill(1) knows them, and by number."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from typing import Final

from worker.errors import InvalidRequest

_REAL_TIME: Final = "RTMIN+"
_NUMBER: Final = re.compile(r"(RTMIN\+)?([0-9]{1,3})")


def signal_name(number: int) -> str:
    """The real-time signals have no names of their own."""
    if signal.SIGRTMIN < number <= signal.SIGRTMAX:
        return f"SIG{_REAL_TIME}{number - signal.SIGRTMIN}"
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"SIG{number}"  # those that the C library keeps for itself


def signal_number(name: str, field: str) -> int:
    """Of "SIGHUP", "hup", "1", "SIGRTMIN+2". Raises InvalidRequest, naming the field."""
    short = name.strip().upper().removeprefix("SIG")
    number = None
    if match := _NUMBER.fullmatch(short):
        number = int(match[2]) + (signal.SIGRTMIN if match[1] else 0)
    elif found := signal.Signals.__members__.get(f"SIG{short}"):
        number = int(found)
    if number is None or not 1 <= number <= signal.SIGRTMAX:
        raise InvalidRequest(f"{field}: {name!r} is no signal: SIGTERM, HUP, 10 or RTMIN+1 are")
    return number
