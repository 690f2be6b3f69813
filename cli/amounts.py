"""Numbers, sizes and times as people write them: 64M, 1GiB, 90, 5m."""

from __future__ import annotations

import re
from typing import Final

import typer

# K, M, G, T are powers of 1024 with and without iB, as memory is counted; KB, MB, ... of 1000.
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?", re.IGNORECASE | re.ASCII)
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def size_of(text: str) -> int:
    """Bytes."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter(f"{text!r} is no size: 4096, 64M, 1.5GiB or 10MB are")
    number, letter, unit = found.groups()
    base = 1000 if unit and unit.upper() == "B" and letter else 1024
    bytes_ = float(number) * base ** _POWERS[letter.upper()]
    if not bytes_.is_integer():
        raise typer.BadParameter(f"{text!r} is no whole number of bytes")
    return int(bytes_)


def whole_number_of(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number") from None


def number_of(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number") from None


def seconds_of(text: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter(f"{text!r} is no time: 90, 1.5s, 5m, 2h or 1d are")
    return float(found[1]) * _SECONDS[found[2] or "s"]
