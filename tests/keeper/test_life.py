"""The table of a job's life is complete, and its histories come out right."""

import itertools

import pytest

from worker.keeper.life import LATE, NEXT, Phase, Seen, after

AFTERWARDS = {Seen.EXECUTED, Seen.EXEC_FAILED, Seen.LEADER_EXITED, Seen.OUTPUT_COMPLETE}
# What can't be seen in a phase, with the reason: the barrier would report it as a fault.
IMPOSSIBLE = {
    Phase.STARTING: {
        Seen.LEADER_EXITED,  # the report is read first
        Seen.TREE_EMPTY,
        Seen.GRACE_OVER,
        Seen.OUTPUT_COMPLETE,
    },
    Phase.UNDOING: {Seen.EXECUTED, Seen.EXEC_FAILED, Seen.OUTPUT_COMPLETE},
    Phase.RUNNING: {
        Seen.EXECUTED,
        Seen.EXEC_FAILED,
        Seen.GRACE_OVER,
        Seen.TREE_EMPTY,  # the leader is one of it
        Seen.OUTPUT_COMPLETE,
    },
    Phase.ENDING: {Seen.OUTPUT_COMPLETE},
    Phase.KILLING: {Seen.OUTPUT_COMPLETE},
    Phase.DRAINING: {Seen.EXECUTED, Seen.EXEC_FAILED, Seen.LEADER_EXITED},
    Phase.ENDED: AFTERWARDS,
    Phase.UNDONE: AFTERWARDS,
}


@pytest.mark.parametrize(("phase", "seen"), list(itertools.product(Phase, Seen)))
def test_every_pair_is_decided_once(phase: Phase, seen: Seen) -> None:
    decided = [(phase, seen) in NEXT, phase in LATE[seen], seen in IMPOSSIBLE[phase]]
    assert decided.count(True) == 1


@pytest.mark.parametrize(("phase", "seen"), [(p, s) for p in Phase for s in IMPOSSIBLE[p]])
def test_what_can_not_be_is_a_fault(phase: Phase, seen: Seen) -> None:
    with pytest.raises(KeyError):
        after(phase, seen)


HISTORIES = {
    "exit": (
        [Seen.EXECUTED, Seen.LEADER_EXITED, Seen.TREE_EMPTY, Seen.OUTPUT_COMPLETE],
        Phase.ENDED,
    ),
    "exit, then stop": (
        [Seen.EXECUTED, Seen.LEADER_EXITED, Seen.STOP_ASKED, Seen.TREE_EMPTY, Seen.OUTPUT_COMPLETE],
        Phase.ENDED,
    ),
    "stop while starting": (
        [Seen.STOP_ASKED, Seen.EXECUTED, Seen.LEADER_EXITED, Seen.TREE_EMPTY, Seen.OUTPUT_COMPLETE],
        Phase.ENDED,
    ),
    "stop, then execve fails": (
        [Seen.STOP_ASKED, Seen.EXEC_FAILED, Seen.LEADER_EXITED],
        Phase.UNDONE,
    ),
    "nothing to execute": ([Seen.EXEC_FAILED, Seen.LEADER_EXITED], Phase.UNDONE),
    "stop, and SIGTERM is ignored": (
        [Seen.EXECUTED, Seen.STOP_ASKED, Seen.GRACE_OVER, Seen.LEADER_EXITED, Seen.TREE_EMPTY],
        Phase.DRAINING,
    ),
    "two stops": ([Seen.EXECUTED, Seen.STOP_ASKED, Seen.STOP_ASKED], Phase.ENDING),
}


@pytest.mark.parametrize(("history", "last"), HISTORIES.values(), ids=HISTORIES)
def test_histories(history: list[Seen], last: Phase) -> None:
    phase = Phase.STARTING
    for seen in history:
        phase = after(phase, seen)
    assert phase is last
