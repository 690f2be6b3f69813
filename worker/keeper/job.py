"""One job as the keeper runs it: life.py decides what follows from what is seen, this does it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from worker.keeper.begin import Begun
from worker.keeper.deadlines import Deadlines
from worker.keeper.facts import Counts, Facts, Stopped
from worker.keeper.house import House
from worker.keeper.leader import Leader, now_us
from worker.keeper.life import GOING, Phase, Seen, after
from worker.keeper.log import say
from worker.keeper.messages import Changed, Done, Ended, Grown, Running
from worker.keeper.output import Output
from worker.keeper.record import end_record, remove
from worker.keeper.refusal import refusal_of
from worker.keeper.stdin import Stdin
from worker.keeper.streams import Streams
from worker.keeper.tree import send_to_all, survivors, terminate

AGAIN_S: Final = 0.5  # from one SIGKILL to the next, for what doesn't go
SAID_AFTER: Final = 2  # SIGKILLs: then its status names who is left
LOST_AFTER: Final = 10  # ... and when the keeper goes, it goes without them
MOST_FAULTS: Final = 3


class Job:
    """`facts` and `counts` are given for a job that was begun before the keeper's re-exec."""

    def __init__(
        self, house: House, begun: Begun, facts: Facts | None = None, counts: Counts | None = None
    ) -> None:
        request, record = begun.request, begun.record
        self.id, self.begun = request.job, begun
        self.facts = facts or Facts(request.grace_s)
        self.leader = Leader(begun.child, house.loop)
        output = Output(record.output, record.index, request.output_cap, counts)
        self.streams = Streams(begun.pipes, output, house.pumps, self._tell_grown)
        self.stdin = Stdin(begun.stdin, self.facts, house.loop, house.tell)
        self._house = house
        self._asks = [] if facts else [request.ask]
        self._deadlines = Deadlines(self.facts, house.loop, self)
        self._kills = self._faults = 0
        self.leader.watch(self._on_report, None if self.facts.exit else self._on_exit, self)
        self.streams.watch(self)
        self.stdin.watch(self)
        begun.tree.watch(house.loop, self.look_at_tree, self)

    def resume(self) -> None:
        """After a re-exec: what may have happened meanwhile is looked at, timers go on."""
        self._deadlines.limit(self._time_over)
        if self.facts.phase is Phase.ENDING and self.facts.due is not None:
            self._deadlines.call_at(self.facts.due, self._grace_over)
        elif self.facts.phase is Phase.KILLING:
            self._kill_again()
        if self.facts.phase in GOING:
            self.look_at_tree()

    def forget_asks(self) -> None:
        self._asks.clear()
        self.stdin.forget_ask()

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
            self._deadlines.call_within(grace_s, self._grace_over)

    def signal(self, number: int, *, leader_only: bool) -> None:
        """SIGSTOP to the tree pauses the job, SIGCONT lets it go on."""
        if leader_only:
            self.leader.send(number)
            return
        send_to_all(self.begun.tree, number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self._tell_changed(is_paused=number == signal.SIGSTOP)

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
        if self.begun.request.time_s is not None:
            self.facts.ends_by = time.monotonic() + self.begun.request.time_s
            self._deadlines.limit(self._time_over)
        self._house.tell(Running(self.id, self.facts.started_us))
        for ask in self._asks:
            self._house.tell(Done(ask))
        self._see(Seen.EXECUTED)

    def _on_exit(self) -> None:
        if seen := self.leader.exit():
            if not self.leader.is_reported:
                self._on_report()
            self.facts.exit = seen
            self.begun.record.index.exit(self.streams.output.size, seen.value)
            self._see(Seen.LEADER_EXITED)
            if self.facts.phase in GOING:
                self.look_at_tree()

    def _grace_over(self) -> None:
        self._see(Seen.GRACE_OVER)

    def _time_over(self) -> None:
        self.stop(Stopped(None, "time limit", f"time limit {self.begun.request.time_s:g} s"), None)

    def _tell_changed(self, *, is_paused: bool | None = None, stuck: str | None = None) -> None:
        if self.facts.change(is_paused=is_paused, stuck=stuck):
            self._house.tell(Changed(self.id, self.facts.is_paused, self.facts.stuck))

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
        number = self.begun.request.stop_signal
        if not self.begun.tree.has(self.leader.pid):
            self.leader.send(number)  # not in its cgroup yet; or root moved it elsewhere
        terminate(self.begun.tree, number, is_paused=self.facts.is_paused)
        self._tell_changed(is_paused=False)
        self._deadlines.call_within(self.facts.grace_s, self._grace_over)
        return None

    def _kill(self) -> None:
        self._kills += 1
        self.begun.tree.kill()
        self.leader.send(signal.SIGKILL)
        # Again, for what was born meanwhile outside a cgroup, or hangs in the kernel.
        self._deadlines.call_at(time.monotonic() + AGAIN_S, self._kill_again)

    def _kill_again(self) -> None:
        self.look_at_tree()
        if self.facts.phase is not Phase.KILLING:
            return
        self._name_survivors()
        if self._is_given_up:
            say(f"job {self.id} is lost: {self.facts.stuck}")
            self.facts.exit, self.facts.stopped = None, Stopped(None, "lost", self.facts.stuck)
            self._close()
        else:
            self._kill()

    def _name_survivors(self) -> None:
        if self._kills >= SAID_AFTER:
            self._tell_changed(stuck=survivors([*self.begun.tree.pids(), self.leader.pid]))

    @property
    def _is_given_up(self) -> bool:
        return self._kills >= LOST_AFTER and self._house.is_leaving

    def _drain(self) -> Seen:
        self._deadlines.cancel()
        self.facts.used = self.begun.tree.used(self.leader.reap())
        self.streams.drain()
        self.stdin.close()
        return Seen.OUTPUT_COMPLETE

    def _close(self) -> None:
        record = end_record(self.facts, self.streams.output.counts, self.begun.request, now_us())
        self.begun.record.end(record)
        self._part()

    def _undone(self) -> None:
        self.leader.reap()
        self.begun.record.close()
        remove(self.begun.record.folder)
        if self.facts.failure:
            refusal, text = refusal_of(self.begun.request, self.begun.program, self.facts.failure)
            self._house.refuse_start(self.id, self._asks, refusal, text)
        self._part(was_there=False)

    def _abandon(self) -> None:
        """After a fault: no process stays, and without its `ended` the job is LOST."""
        self._deadlines.cancel()
        self.leader.unwatch()
        self.begun.tree.unwatch(self._house.loop)
        self.streams.close()
        if self._faults < MOST_FAULTS and not self._is_given_up:
            self._kills += 1
            self.begun.tree.kill()
            self.facts.exit = self.facts.exit or self.leader.exit()
            if not (self.facts.exit and self.begun.tree.is_empty()):
                self._name_survivors()
                self._house.loop.call_in(AGAIN_S, self._abandon, self)
                return
        self._part()

    def _part(self, *, was_there: bool = True) -> None:
        """Everything of it is closed. Nobody hears of a job that never was."""
        self._deadlines.cancel()
        self.leader.close()
        self.streams.close()
        self.stdin.close()
        self.begun.record.close()
        self.begun.tree.unwatch(self._house.loop)
        self.begun.tree.close()
        if was_there:
            self._house.tell(Ended(self.id))
        self._house.forget(self.id)


# What is done on entering a phase; it returns what is seen at once.
ENTER: Final[Mapping[Phase, Callable[[Job], Seen | None]]] = {
    Phase.UNDOING: lambda job: job._deadlines.cancel(),  # noqa: SLF001 - the table is the class's
    Phase.RUNNING: lambda _: None,
    Phase.ENDING: Job._end,  # noqa: SLF001
    Phase.KILLING: Job._kill,  # noqa: SLF001
    Phase.DRAINING: Job._drain,  # noqa: SLF001
    Phase.ENDED: Job._close,  # noqa: SLF001
    Phase.UNDONE: Job._undone,  # noqa: SLF001
}
