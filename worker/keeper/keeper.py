"""The keeper: the table of jobs, and what may be asked about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from worker.keeper.begin import Begun, begin
from worker.keeper.controllers import CannotLimit, passed_on
from worker.keeper.facts import Counts, Facts, Stopped
from worker.keeper.frames import BadFrame
from worker.keeper.job import Job
from worker.keeper.life import GOING
from worker.keeper.log import report
from worker.keeper.loop import Loop, Signals, guarded
from worker.keeper.messages import (
    PROTOCOL,
    Done,
    Hello,
    Input,
    Leave,
    List,
    Listed,
    ListEnd,
    Message,
    Refusal,
    Refused,
    Signal,
    Spawn,
    Stop,
    Tell,
)
from worker.keeper.orphans import Orphans
from worker.keeper.pumps import Pumps
from worker.keeper.refusal import SHORTAGES
from worker.keeper.spawn import Spawner

FILES_OF_A_JOB: Final = 8  # three pipes, pidfd, output, index, cgroup.events; a report at first
FILES_IN_RESERVE: Final = 64  # for the server, and for signals through pidfds
MOST_REFUSED: Final = 1000  # starts that a server may have failed to forget, on a full disk
GRACE_S: Final = 10.0  # until a server has said what is configured
BY_LENGTH: Final = 200


class User(Protocol):
    """Who uses the keeper: a program, or the server that we start."""

    def send(self, message: Message) -> None: ...

    def dismiss(self) -> None:
        """All jobs are over and told: nothing follows."""


class Keeper:
    """`folder` holds the jobs' folders; `cgroups` is None where they can't be used."""

    def __init__(self, folder: Path, cgroups: Path | None, spawner: Spawner, loop: Loop) -> None:
        self.folder, self.cgroups, self.spawner, self.loop = folder, cgroups, spawner, loop
        self.controllers = passed_on(cgroups) if cgroups else frozenset()
        self.pumps = Pumps(loop)
        self.jobs: dict[str, Job] = {}
        self.user: User | None = None
        self.signals: Signals | None = None
        self.grace_s = GRACE_S  # of the jobs when all of us end
        self.children: set[int] = set()  # other than jobs: the server, checks
        self.orphans = Orphans(self.jobs, self.children, have_cgroups=cgroups is not None)
        self.epoch = _epoch()
        self.is_leaving = False
        self.refused: deque[str] = deque(maxlen=MOST_REFUSED)
        self._is_listening = False
        self._most_jobs = 0

    def bounded(self, files: int) -> None:
        """`files` descriptors are ours: more jobs than fit are refused, and harm none."""
        self._most_jobs = max(1, (files - FILES_IN_RESERVE) // FILES_OF_A_JOB)

    def new_user(self, user: User) -> None:
        """It is told nothing before it has asked for the list: events would overtake that."""
        self.user, self._is_listening = user, False
        # The numbers of what the last one asked are this one's, for questions of its own.
        for job in self.jobs.values():
            job.forget_asks()

    def receive(self, message: Message, raw: bytes) -> None:
        """Raises BadFrame for what only the keeper sends."""
        if isinstance(message, Input):
            self._input(message, raw)
            return
        verb = VERBS.get(type(message))
        if not verb:
            raise BadFrame(f"{type(message).__name__} is not for the keeper")
        verb(self, message)

    def tell(self, message: Message) -> None:
        if self.user and self._is_listening:
            self.user.send(message)

    def forget(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)
        self._dismiss_if_over()

    def adopt(self, begun: Begun, facts: Facts | None = None, counts: Counts | None = None) -> Job:
        """Run what has begun; what can't be run is not left alive."""
        try:
            job = Job(self, begun, facts, counts)
        except BaseException:
            begun.give_back()
            raise
        self.jobs[job.id] = job
        return job

    def leave(self, grace_s: float | None) -> None:
        """End all jobs, within `grace_s` or each within its own, and then go."""
        self.is_leaving = True
        for job in list(self.jobs.values()):
            guarded(partial(job.stop, Stopped(None, "shutdown"), grace_s), job)
        self._dismiss_if_over()

    def put_signals_back(self) -> None:
        """All are blocked: what has come and isn't heeded yet is to stay pending over an exec."""
        if self.signals:
            self.signals.put_back()

    def give_up(self) -> None:
        """What isn't about one job or one server: logged, and that is all."""

    def child_ended(self) -> None:
        """After SIGCHLD, one for any number of ends."""
        self.orphans.look()
        if not self.cgroups:
            for job in [job for job in self.jobs.values() if job.facts.phase in GOING]:
                guarded(job.look_at_tree, job)

    def _dismiss_if_over(self) -> None:
        if self.is_leaving and not self.jobs and self.user:
            self.user.dismiss()

    def _hello(self, message: Hello) -> None:
        if message.protocol != PROTOCOL:
            raise BadFrame(f"protocol {message.protocol}, not {PROTOCOL}")
        if self.user:
            self.user.send(Hello(PROTOCOL, self.epoch))

    def _list(self, _: List) -> None:
        self._is_listening = True
        for job in self.jobs.values():
            facts, size = job.facts, job.streams.output.size
            self.tell(Listed(job.id, size, facts.started_us, facts.is_paused, facts.stuck))
        self.tell(ListEnd([*self.refused]))

    def _spawn(self, request: Spawn) -> None:
        known = self.jobs.get(request.job)
        if known:
            known.ask_again(request.ask)
            return
        try:
            self._begin(request)
        except FileExistsError:
            self._refuse(request.ask, Refusal.EXISTS, f"{request.job} was started before")
        except CannotLimit as error:
            self.refuse_start(request.job, [request.ask], Refusal.CANNOT_EXECUTE, str(error))
        except OSError as error:
            refusal = SHORTAGES.get(error.errno or 0, Refusal.FAULT)
            text = f"{error.filename or self.folder}: {error.strerror}"
            self.refuse_start(request.job, [request.ask], refusal, text)
        except Exception as failure:  # noqa: BLE001 - a barrier: it costs this start alone
            report(f"the start of {request.job}", failure)
            text = "the keeper could not start it: see its log"
            self.refuse_start(request.job, [request.ask], Refusal.FAULT, text)

    def _begin(self, request: Spawn) -> None:
        if self.is_leaving:
            self.refuse_start(request.job, [request.ask], Refusal.LEAVING, "the keeper is leaving")
        elif len(self.jobs) >= self._most_jobs:
            limit = "the service's limit of open files (systemd: LimitNOFILE=)"
            text = f"{limit} allows no more jobs than the {len(self.jobs)} that run"
            self.refuse_start(request.job, [request.ask], Refusal.NO_ROOM, text)
        else:
            self.adopt(begin(request, self))

    def refuse_start(self, job_id: str, asks: Sequence[int], refusal: Refusal, text: str) -> None:
        self.refused.append(job_id)
        for ask in asks:
            self._refuse(ask, refusal, text)

    def _stop(self, message: Stop) -> None:
        job = self.jobs.get(message.job)
        if not job:
            self._refuse(message.ask, Refusal.NOT_FOUND, f"{message.job} is over")
            return
        stopped = Stopped(message.by[:BY_LENGTH] or None, "stop")
        guarded(partial(job.stop, stopped, message.grace_s), job)
        self.tell(Done(message.ask))

    def _signal(self, message: Signal) -> None:
        job = self.jobs.get(message.job)
        if not job:
            self._refuse(message.ask, Refusal.NOT_FOUND, f"{message.job} is over")
            return
        guarded(partial(job.signal, message.number, leader_only=message.leader_only), job)
        self.tell(Done(message.ask))

    def _input(self, message: Input, raw: bytes) -> None:
        job = self.jobs.get(message.job)
        if not job:
            self._refuse(message.ask, Refusal.NOT_FOUND, f"{message.job} is over")
            return
        guarded(partial(job.stdin.take, message, raw), job)

    def _tell_beyond(self, message: Tell) -> None:
        job = self.jobs.get(message.job)
        if job:
            job.streams.tell_beyond(message.beyond)

    def _refuse(self, ask: int, refusal: Refusal, text: str) -> None:
        self.tell(Refused(ask, refusal, text))


VERBS: Final[Mapping[type[Message], Callable[..., None]]] = {
    Hello: Keeper._hello,  # noqa: SLF001 - the table is the class's
    List: Keeper._list,  # noqa: SLF001
    Spawn: Keeper._spawn,  # noqa: SLF001
    Stop: Keeper._stop,  # noqa: SLF001
    Signal: Keeper._signal,  # noqa: SLF001
    Tell: Keeper._tell_beyond,  # noqa: SLF001
    Leave: lambda keeper, _: keeper.leave(None),
}


def _epoch() -> str:
    """Of this keeper: the boot, and when its process was made; the same after a re-exec."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot} {started}"
