"""What a job uses of the keeper that it lives in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from worker.keeper.loop import Loop
from worker.keeper.messages import Message, Refusal
from worker.keeper.pumps import Pumps


class House(Protocol):
    loop: Loop
    pumps: Pumps
    is_leaving: bool

    def tell(self, message: Message) -> None: ...

    def refuse_start(self, job_id: str, asks: Sequence[int], refusal: Refusal, text: str) -> None:
        """It is no job: tell those that have asked for it."""

    def forget(self, job_id: str) -> None:
        """It is over, and was told of."""
