"""One job as the keeper runs it: life.py decides what follows from what is seen, this does it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from worker.keeper.begin import Begun
from worker.keeper.facts import Counts, Facts, Stopped
from worker.keeper.leader import Leader, now_us
from worker.keeper.life import GOING, Phase, Seen, after
from worker.keeper.log import say
from worker.keeper.loop import URGENT, Callback, Loop, Timer
from worker.keeper.messages import Done, Ended, Grown, Message, Refused, Running
from worker.keeper.output import Output
from worker.keeper.pumps import Pumps
from worker.keeper.record import end_record, remove
from worker.keeper.refusal import refusal_of
from worker.keeper.streams import Streams
from worker.keeper.tree import CgroupTree, terminate

AGAIN_S: Final = 0.5  # from one SIGKILL to the next, for what doesn't go
MOST_FAULTS: Final = 3


class House(Protocol):
    """What a job uses of the keeper."""

    loop: Loop
    pumps: Pumps

    def tell(self, message: Message) -> None: ...

    def forget(self, job: Job) -> None: ...


class Job:
    """`facts` and `counts` are given for a job that was begun before the keeper's re-exec."""

    def __init__(
        self, house: House, begun: Begun, facts: Facts | None = None, counts: Counts | None = None
    ) -> None:
        request, record = begun.request, begun.record
        self.id = request.job
        self.begun = begun
        self.facts = facts or Facts(request.grace_s)
        self.leader = Leader(begun.child, house.loop)
        output = Output(record.output, record.index, request.output_cap, counts)
        self.streams = Streams(begun.pipes, output, house.pumps, self._tell_grown)
        self._house = house
        self._asks = [] if facts else [request.ask]
        self._timer: Timer | None = None
        self._faults = 0
        self.leader.watch(self._on_report, None if self.facts.exit else self._on_exit, self)
        self.streams.watch(self)
        if isinstance(begun.tree, CgroupTree) and begun.tree.events is not None:
            house.loop.watch(begun.tree.events, self.look_at_tree, self, URGENT)

    def resume(self) -> None:
        """After a re-exec: what may have happened meanwhile is looked at, timers go on."""
        if self.facts.phase is Phase.ENDING and self.facts.due is not None:
            self._call_at(self.facts.due, partial(self._see, Seen.GRACE_OVER))
        elif self.facts.phase is Phase.KILLING:
            self._kill_again()
        if self.facts.phase in GOING:
            self.look_at_tree()

    def ask_again(self, ask: int) -> None:
        """The same Spawn once more: it is answered with the first."""
        if self.leader.is_reported and not self.facts.failure:
            self._house.tell(Done(ask))
        else:
            self._asks.append(ask)

    def stop(self, stopped: Stopped, grace_s: float | None) -> None:
        """A second one may only shorten the grace period."""
        if self._faults:
            return  # it is being ended already
        if self.facts.exit is None and self.facts.stopped is None:
            self.facts.stopped = stopped
            self.facts.grace_s = self.begun.request.grace_s if grace_s is None else grace_s
        self._see(Seen.STOP_ASKED)
        if self.facts.phase is Phase.ENDING and grace_s is not None:
            self._kill_within(grace_s)

    def look_at_tree(self) -> None:
        """After any sign that one of its processes may be gone."""
        # Reading comes first: it is what makes the kernel tell of the next change.
        if self.begun.tree.is_empty() and self.facts.exit and not self._faults:
            self._see(Seen.TREE_EMPTY)

    def give_up(self) -> None:
        self._faults += 1
        self._house.loop.call_in(0 if self._faults == 1 else AGAIN_S, self._abandon, self)

    def _on_report(self) -> None:
        self.facts.failure = self.leader.report()
        if self.facts.failure:
            self._see(Seen.EXEC_FAILED)
            return
        self.facts.started_us = now_us()
        self._house.tell(Running(self.id, self.facts.started_us))
        for ask in self._asks:
            self._house.tell(Done(ask))
        self._see(Seen.EXECUTED)

    def _on_exit(self) -> None:
        seen = self.leader.exit()
        if seen:
            if not self.leader.is_reported:
                self._on_report()
            self.facts.exit = seen
            self.begun.record.index.exit(self.streams.output.size, seen.value)
            self._see(Seen.LEADER_EXITED)
            if self.facts.phase in GOING:
                self.look_at_tree()

    def _tell_grown(self, size: int) -> None:
        self._house.tell(Grown(self.id, size))

    def _see(self, seen: Seen) -> None:
        follows: Seen | None = seen
        while follows:
            phase = after(self.facts.phase, follows)
            if phase is self.facts.phase:
                return
            self.facts.phase = phase
            follows = ENTER[phase](self)

    def _end(self) -> Seen | None:
        if self.facts.exit and self.begun.tree.is_empty():
            return Seen.TREE_EMPTY
        if self.facts.grace_s <= 0:
            return Seen.GRACE_OVER
        if not self.begun.tree.has(self.leader.pid):
            self.leader.send(signal.SIGTERM)  # not in its cgroup yet; or root moved it elsewhere
        terminate(self.begun.tree)
        self._kill_within(self.facts.grace_s)
        return None

    def _kill_within(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        if self.facts.due is None or self.facts.due > due:
            self._call_at(due, partial(self._see, Seen.GRACE_OVER))

    def _kill(self) -> None:
        self.begun.tree.kill()
        self.leader.send(signal.SIGKILL)
        # Again, for what was born meanwhile outside a cgroup, or hangs in the kernel.
        self._call_at(time.monotonic() + AGAIN_S, self._kill_again)

    def _kill_again(self) -> None:
        self.look_at_tree()
        if self.facts.phase is Phase.KILLING:
            self._kill()

    def _call_at(self, due: float, callback: Callback) -> None:
        self._cancel_timer()
        self.facts.due = due
        self._timer = self._house.loop.call_in(due - time.monotonic(), callback, self)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _drain(self) -> Seen:
        self._cancel_timer()
        self.leader.reap()
        self.streams.drain()
        return Seen.OUTPUT_COMPLETE

    def _close(self) -> None:
        self.begun.record.end(end_record(self.facts, self.streams.output.counts, now_us()))
        self._leave_tree()
        self._house.tell(Ended(self.id))
        self._house.forget(self)

    def _undone(self) -> None:
        self.leader.reap()
        self.streams.close()
        self.begun.record.close()
        remove(self.begun.record.folder)
        self._leave_tree()
        if self.facts.failure:
            refusal, text = refusal_of(self.begun.request, self.begun.program, self.facts.failure)
            for ask in self._asks:
                self._house.tell(Refused(ask, refusal, text))
        self._house.forget(self)

    def _leave_tree(self) -> None:
        self._unwatch_tree()
        try:
            self.begun.tree.close()
        except OSError as error:  # a stranger went in: the next start sweeps
            say(f"the cgroup of {self.id}: {error.strerror}")

    def _unwatch_tree(self) -> None:
        if isinstance(self.begun.tree, CgroupTree) and self.begun.tree.events is not None:
            self._house.loop.forget(self.begun.tree.events)

    def _abandon(self) -> None:
        """After a fault: no process stays, and without its `ended` the job is LOST."""
        self._cancel_timer()
        self.leader.unwatch()
        self._unwatch_tree()
        self.streams.close()
        if self._faults < MOST_FAULTS:
            self.begun.tree.kill()
            self.facts.exit = self.facts.exit or self.leader.exit()
            if not (self.facts.exit and self.begun.tree.is_empty()):
                self._house.loop.call_in(AGAIN_S, self._abandon, self)
                return
        self.leader.close()
        self.begun.record.close()
        self._leave_tree()
        self._house.tell(Ended(self.id))
        self._house.forget(self)


# What is done on entering a phase; it returns what is seen at once.
ENTER: Final[Mapping[Phase, Callable[[Job], Seen | None]]] = {
    Phase.UNDOING: Job._cancel_timer,  # noqa: SLF001 - the table is the class's
    Phase.RUNNING: lambda _: None,
    Phase.ENDING: Job._end,  # noqa: SLF001
    Phase.KILLING: Job._kill,  # noqa: SLF001
    Phase.DRAINING: Job._drain,  # noqa: SLF001
    Phase.ENDED: Job._close,  # noqa: SLF001
    Phase.UNDONE: Job._undone,  # noqa: SLF001
}
