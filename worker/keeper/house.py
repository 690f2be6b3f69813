"""What a job uses of the keeper that it lives in."""

from __future__ import annotations

from typing import Protocol

from worker.keeper.loop import Loop
from worker.keeper.messages import Message
from worker.keeper.pumps import Pumps


class House(Protocol):
    loop: Loop
    pumps: Pumps
    is_leaving: bool

    def tell(self, message: Message) -> None: ...

    def forget(self, job_id: str) -> None:
        """It is over, and was told of."""
