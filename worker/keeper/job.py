"""One job as the keeper runs it: life.py decides what follows from what is seen, this does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from worker.keeper.begin import Begun
from worker.keeper.child import Failure
from worker.keeper.leader import Exit, Leader, now_us
from worker.keeper.life import GOING, Phase, Seen, after
from worker.keeper.log import say
from worker.keeper.loop import URGENT, Loop, Timer
from worker.keeper.messages import (
    Done,
    Ended,
    EndRecord,
    Grown,
    Kind,
    Message,
    Refused,
    Running,
)
from worker.keeper.output import Output
from worker.keeper.pumps import Pumps
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


@dataclass(frozen=True, slots=True)
class Stopped:
    """By whom and why: the first that was recorded is the one that is named."""

    by: str | None
    cause: str


class Job:
    def __init__(self, house: House, begun: Begun) -> None:
        request, record = begun.request, begun.record
        self.id = request.job
        self.started_us: int | None = None
        self.leader = Leader(begun.child, house.loop)
        self.streams = Streams(
            begun.pipes,
            Output(record.output, record.index, request.output_cap),
            house.pumps,
            lambda size: house.tell(Grown(self.id, size)),
        )
        self._house, self._begun = house, begun
        self._asks = [request.ask]
        self._phase = Phase.STARTING
        self._failure: Failure | None = None
        self._exit: Exit | None = None
        self._stopped: Stopped | None = None
        self._grace_s = request.grace_s
        self._timer: Timer | None = None
        self._faults = 0
        self.leader.watch(self._on_report, self._on_exit, self)
        self.streams.watch(self)
        if isinstance(begun.tree, CgroupTree):
            house.loop.watch(begun.tree.events, self.look_at_tree, self, URGENT)

    def ask_again(self, ask: int) -> None:
        """The same Spawn once more: it is answered with the first."""
        if self.leader.is_reported and not self._failure:
            self._house.tell(Done(ask))
        else:
            self._asks.append(ask)

    def stop(self, stopped: Stopped, grace_s: float | None) -> None:
        """A second one may only shorten the grace period."""
        if self._exit is None and self._stopped is None:
            self._stopped = stopped
            self._grace_s = self._begun.request.grace_s if grace_s is None else grace_s
        self._see(Seen.STOP_ASKED)
        if self._phase is Phase.ENDING and grace_s is not None:
            self._kill_within(grace_s)

    def look_at_tree(self) -> None:
        """After any sign that one of its processes may be gone."""
        # Reading comes first: it is what makes the kernel tell of the next change.
        if self._begun.tree.is_empty() and self._exit:
            self._see(Seen.TREE_EMPTY)

    def give_up(self) -> None:
        self._faults += 1
        self._house.loop.call_in(0 if self._faults == 1 else AGAIN_S, self._abandon, self)

    def _on_report(self) -> None:
        self._failure = self.leader.report()
        if self._failure:
            self._see(Seen.EXEC_FAILED)
            return
        self.started_us = now_us()
        self._house.tell(Running(self.id, self.started_us))
        for ask in self._asks:
            self._house.tell(Done(ask))
        self._see(Seen.EXECUTED)

    def _on_exit(self) -> None:
        seen = self.leader.exit()
        if seen:
            if not self.leader.is_reported:
                self._on_report()
            self._exit = seen
            self._begun.record.index.exit(self.streams.output.size, seen.value)
            self._see(Seen.LEADER_EXITED)
            if self._phase in GOING:
                self.look_at_tree()

    def _see(self, seen: Seen) -> None:
        follows: Seen | None = seen
        while follows:
            phase = after(self._phase, follows)
            if phase is self._phase:
                return
            self._phase = phase
            follows = ENTER[phase](self)

    def _end(self) -> Seen | None:
        if self._exit and self._begun.tree.is_empty():
            return Seen.TREE_EMPTY
        if self._grace_s <= 0:
            return Seen.GRACE_OVER
        terminate(self._begun.tree)
        self._kill_within(self._grace_s)
        return None

    def _kill_within(self, seconds: float) -> None:
        if not self._timer or self._timer.when > time.monotonic() + seconds:
            self._call_in(seconds, partial(self._see, Seen.GRACE_OVER))

    def _kill(self) -> None:
        self._begun.tree.kill()
        # Again, for what was born meanwhile outside a cgroup, or hangs in the kernel.
        self._call_in(AGAIN_S, self._kill_again)

    def _kill_again(self) -> None:
        self.look_at_tree()
        if self._phase is Phase.KILLING:
            self._kill()

    def _call_in(self, seconds: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._house.loop.call_in(seconds, callback, self)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _drain(self) -> Seen:
        self._cancel_timer()
        self.leader.reap()
        self.streams.drain()
        return Seen.OUTPUT_COMPLETE

    def _close(self) -> None:
        self._begun.record.end(self._end_record())
        self._leave_tree()
        self._house.tell(Ended(self.id))
        self._house.forget(self)

    def _undone(self) -> None:
        self.leader.reap()
        self.streams.close()
        self._begun.record.close()
        self._begun.record.remove()
        self._leave_tree()
        if self._failure:
            refusal, text = refusal_of(self._begun.request, self._begun.program, self._failure)
            for ask in self._asks:
                self._house.tell(Refused(ask, refusal, text))
        self._house.forget(self)

    def _leave_tree(self) -> None:
        tree = self._begun.tree
        if isinstance(tree, CgroupTree):
            self._house.loop.forget(tree.events)
            try:
                tree.close()
            except OSError as error:  # a stranger went in: the next start sweeps
                say(f"{tree.cgroup.path}: {error.strerror}")

    def _abandon(self) -> None:
        """After a fault: no process stays, and without its `ended` the job is LOST."""
        self._cancel_timer()
        self.streams.close()
        self._begun.tree.kill()
        self._exit = self._exit or self.leader.exit()
        if self._faults >= MOST_FAULTS or (self._exit and self._begun.tree.is_empty()):
            self.leader.close()
            self._begun.record.close()
            self._leave_tree()
            self._house.tell(Ended(self.id))
            self._house.forget(self)
        else:
            self._house.loop.call_in(AGAIN_S, self._abandon, self)

    def _end_record(self) -> EndRecord:
        seen = self._exit or Exit(None, None, now_us())
        stopped = self._stopped or Stopped(None, "own exit")
        output = self.streams.output
        return EndRecord(
            code=seen.code,
            signal=seen.signal,
            cause=stopped.cause,
            stopped_by=stopped.by,
            reason="",
            started_us=self.started_us or seen.at_us,
            leader_exited_us=seen.at_us,
            ended_us=max(now_us(), seen.at_us),
            stdout=output.sizes[Kind.RUN_STDOUT],
            stderr=output.sizes[Kind.RUN_STDERR],
            merged=output.sizes[Kind.RUN_MERGED],
            dropped=output.dropped,
        )


# What is done on entering a phase; it returns what is seen at once.
ENTER: Final[Mapping[Phase, Callable[[Job], Seen | None]]] = {
    Phase.UNDOING: lambda job: job._cancel_timer(),  # noqa: SLF001 - the table is the class's
    Phase.RUNNING: lambda _: None,
    Phase.ENDING: Job._end,  # noqa: SLF001
    Phase.KILLING: Job._kill,  # noqa: SLF001
    Phase.DRAINING: Job._drain,  # noqa: SLF001
    Phase.ENDED: Job._close,  # noqa: SLF001
    Phase.UNDONE: Job._undone,  # noqa: SLF001
}
