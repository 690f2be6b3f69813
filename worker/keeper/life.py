"""The life of a job: what is seen in which phase leads where.

Nothing here touches a process. Every pair of phase and event is in NEXT or in LATE; one that
is in neither is a fault of ours: it raises, the barrier logs it, and it costs that one job.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class Phase(Enum):
    STARTING = auto()  # between clone3 and execve
    UNDOING = auto()  # execve failed: once the child is gone, there was no job
    RUNNING = auto()
    ENDING = auto()  # SIGTERM is sent, the grace period runs
    KILLING = auto()
    DRAINING = auto()  # no process is left; what they wrote is still in the pipes
    ENDED = auto()
    UNDONE = auto()


class Seen(Enum):
    EXECUTED = auto()
    EXEC_FAILED = auto()
    STOP_ASKED = auto()
    LEADER_EXITED = auto()
    GRACE_OVER = auto()
    TREE_EMPTY = auto()  # the leader has exited, and nobody else is left
    OUTPUT_COMPLETE = auto()


GOING: Final = frozenset({Phase.ENDING, Phase.KILLING})
OVER: Final = frozenset({Phase.ENDED, Phase.UNDONE})

NEXT: Final[Mapping[tuple[Phase, Seen], Phase]] = {
    (Phase.STARTING, Seen.EXECUTED): Phase.RUNNING,
    (Phase.STARTING, Seen.EXEC_FAILED): Phase.UNDOING,
    (Phase.STARTING, Seen.STOP_ASKED): Phase.ENDING,
    (Phase.UNDOING, Seen.LEADER_EXITED): Phase.UNDONE,
    (Phase.RUNNING, Seen.LEADER_EXITED): Phase.ENDING,  # the rest of the tree still has to go
    (Phase.RUNNING, Seen.STOP_ASKED): Phase.ENDING,
    (Phase.ENDING, Seen.EXEC_FAILED): Phase.UNDOING,
    (Phase.ENDING, Seen.GRACE_OVER): Phase.KILLING,
    (Phase.ENDING, Seen.TREE_EMPTY): Phase.DRAINING,
    (Phase.KILLING, Seen.EXEC_FAILED): Phase.UNDOING,
    (Phase.KILLING, Seen.TREE_EMPTY): Phase.DRAINING,
    (Phase.DRAINING, Seen.OUTPUT_COMPLETE): Phase.ENDED,
}

# True, but it moves nothing.
LATE: Final[Mapping[Seen, frozenset[Phase]]] = {
    Seen.EXECUTED: GOING,
    Seen.EXEC_FAILED: frozenset(),
    Seen.STOP_ASKED: frozenset({Phase.UNDOING, *GOING, Phase.DRAINING, *OVER}),
    Seen.LEADER_EXITED: GOING,
    Seen.GRACE_OVER: frozenset({Phase.UNDOING, Phase.KILLING, Phase.DRAINING, *OVER}),
    Seen.TREE_EMPTY: frozenset({Phase.UNDOING, Phase.DRAINING, *OVER}),
    Seen.OUTPUT_COMPLETE: frozenset(),
}


def after(phase: Phase, seen: Seen) -> Phase:
    """The phase that follows. Raises KeyError for what can't be seen in `phase`."""
    return phase if phase in LATE[seen] else NEXT[phase, seen]


def drawing() -> str:
    """The table as ARCHITECTURE.md shows it."""
    width = max(len(phase.name) for phase in Phase)
    return "\n".join(
        f"{phase.name:{width}} --{seen.name.lower().replace('_', ' ')}--> {follows.name}"
        for (phase, seen), follows in NEXT.items()
    )
