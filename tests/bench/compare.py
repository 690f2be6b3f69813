"""Two sides that take turns in the same run, so that a noisy machine disturbs both."""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ROUNDS = 5
Work = Callable[[], Awaitable[None]]


async def timed(work: Work) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Peer:
    name: str
    work: Work


async def compare(what: str, ours: Work, peer: Peer, amount: str) -> None:
    """Print the medians, and that of the ratios."""
    pairs = [(await timed(ours), await timed(peer.work)) for _ in range(ROUNDS)]
    seconds, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(
        f"{what:36} {amount:>11}  {seconds:7.3f} s  {peer.name} {theirs:7.3f} s  ratio {ratio:5.2f}"
    )
