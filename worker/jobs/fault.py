"""Points at which a test may have this process killed. In service they do nothing.

WORKER_FAULT_POINTS="after the row=0.01;while following=0.001": at each pass, with that chance.
"""

from __future__ import annotations

import os
import random
import signal
from typing import Final

AFTER_THE_ROW: Final = "after the row"
BEFORE_THE_ANSWER: Final = "before the spawn is answered"
WHILE_FOLLOWING: Final = "while following"
BETWEEN_TOLD_AND_RECORDED: Final = "between told and recorded"
BETWEEN_RECORD_AND_ANSWER: Final = "between record and answer"
BETWEEN_TOMBSTONE_AND_RENAME: Final = "between tombstone and rename"
BETWEEN_RENAME_AND_DELETION: Final = "between rename and deletion"
POINTS: Final = (
    *(AFTER_THE_ROW, BEFORE_THE_ANSWER, WHILE_FOLLOWING),
    *(BETWEEN_TOLD_AND_RECORDED, BETWEEN_RECORD_AND_ANSWER),
    *(BETWEEN_TOMBSTONE_AND_RENAME, BETWEEN_RENAME_AND_DELETION),
)

KILLED: Final = "killed "  # in the log

_chances: Final = {
    name: float(chance)
    for name, _, chance in (
        point.partition("=") for point in os.environ.get("WORKER_FAULT_POINTS", "").split(";")
    )
    if chance
}


def point(name: str) -> None:
    if name in _chances and random.random() < _chances[name]:  # noqa: S311 - no secret
        os.write(2, f"{KILLED}{name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
