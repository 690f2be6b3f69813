"""A real keeper, driven over its socket by frames written here by hand."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import worker.keeper
from worker.keeper.frames import Frames, encode
from worker.keeper.messages import (
    PROTOCOL,
    Done,
    Ended,
    Grown,
    Hello,
    Leave,
    List,
    Listed,
    ListEnd,
    Message,
    Refused,
    Spawn,
    Stop,
    Tell,
)
from worker.keeper.records import RECORD, Kind

KEEPER = str(Path(worker.keeper.__file__).parent)
MARK = f"98700.{os.getpid()}"  # seconds to sleep: the argument of no other run of the tests
PATIENCE_S = 20
NO_SIGNAL = 9999  # the server sends no such thing: a fault of its job
M = TypeVar("M", bound=Message)


class Driver:
    """The other end of a keeper's socket; every wait ends after PATIENCE_S."""

    def __init__(self, end: socket.socket, state: Path) -> None:
        end.settimeout(PATIENCE_S)
        self.end, self.state = end, state
        self.asks = 0
        self._frames = Frames()
        self._seen: list[Message] = []

    def send(self, message: Message) -> None:
        self.end.sendall(encode(message))

    def greet(self) -> None:
        """The list of jobs that comes back can be waited for afterwards."""
        self.send(Hello(PROTOCOL, ""))
        self.send(List())
        self.wait(ListEnd)

    def wait(self, *kinds: type[M], job: str | None = None) -> M:
        """The next message of these kinds (and of that job); others stay for later waits."""
        while True:
            for number, message in enumerate(self._seen):
                fits = job is None or getattr(message, "job", None) == job
                if isinstance(message, kinds) and fits:
                    del self._seen[number]
                    return message
            data = self.end.recv(65536)
            assert data, f"the keeper closed its socket before {kinds}"
            self._seen += [message for message, _ in self._frames.feed(data)]

    def wait_closed(self) -> list[Message]:
        while data := self.end.recv(65536):
            self._seen += [message for message, _ in self._frames.feed(data)]
        return self._seen

    def has_listed(self, job: str) -> bool:
        """In the last list that came."""
        return any(isinstance(seen, Listed) and seen.job == job for seen in self._seen)

    def request(self, *command: str, **changes: Any) -> Spawn:
        self.asks += 1
        path = "/usr/bin:/bin"
        request = Spawn(
            ask=self.asks,
            job=str(uuid.uuid4()),
            command=command[0],
            arguments=list(command[1:]),
            environment={"PATH": path},
            path=path,
            directory="/",
            merged=False,
            grace_s=10.0,
            output_cap=2**30,
            owner="tests",
            labels={},
            created_us=time.time_ns() // 1000,
        )
        return dataclasses.replace(request, **changes)

    def spawn(self, *command: str, **changes: Any) -> str:
        """The id of a job that runs."""
        request = self.request(*command, **changes)
        self.send(request)
        answer = self.wait(Done, Refused)
        assert isinstance(answer, Done), answer
        return request.job

    def refusal(self, *command: str, **changes: Any) -> Refused:
        request = self.request(*command, **changes)
        self.send(request)
        answer = self.wait(Done, Refused)
        assert isinstance(answer, Refused)
        assert not (self.state / "jobs" / request.job).exists(), "a refused start leaves a folder"
        return answer

    def stop(self, job: str, grace_s: float | None = None) -> Message:
        self.asks += 1
        self.send(Stop(self.asks, job, "the test", grace_s))
        return self.wait(Done, Refused)

    def ended(self, job: str) -> dict[str, Any]:
        """What the file `ended` says, once the keeper has told so."""
        self.wait(Ended, job=job)
        content: dict[str, Any] = json.loads(self.file(job, "ended"))["content"]
        return content

    def file(self, job: str, name: str) -> bytes:
        return (self.state / "jobs" / job / name).read_bytes()

    def wait_output(self, job: str, text: bytes) -> None:
        """By the keeper's own notice of growth."""
        size = 0
        while text not in self.file(job, "output"):
            self.send(Tell(job, size))
            size = self.wait(Grown, job=job).size

    def index(self, job: str) -> list[tuple[Kind, int, int]]:
        """Kind, offset and value of each record."""
        found = []
        for word, value in RECORD.iter_unpack(self.file(job, "index")):
            if word:
                found.append((Kind(word >> 56), word & (1 << 56) - 1, value))
        return found


@dataclasses.dataclass(frozen=True)
class Keeper:
    driver: Driver
    process: subprocess.Popen[bytes]
    log: Path


def start(state: Path, log: Path, before: Sequence[str] = (), **options: Any) -> Keeper:
    ours, theirs = socket.socketpair()
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    argv = [*before, sys.executable, "-I", "-S", KEEPER, str(state)]
    argv += ["--lock", str(lock), "--program", str(theirs.fileno())]
    with log.open("ab") as stderr, theirs:
        process = subprocess.Popen(
            argv, pass_fds=[lock, theirs.fileno()], stderr=stderr, cwd="/", **options
        )
    os.close(lock)
    driver = Driver(ours, state)
    driver.greet()
    return Keeper(driver, process, log)


def finish(keeper: Keeper) -> None:
    """Every test ends with an orderly end, a clean log and no cgroup."""
    with keeper.driver.end:
        if keeper.process.poll() is None:
            keeper.driver.send(Leave())
            keeper.driver.wait_closed()
    assert keeper.process.wait(PATIENCE_S) == 0
    log = keeper.log.read_text()
    assert "fault" not in log
    for line in log.splitlines():
        if " in cgroups below " in line:
            assert not Path(line.rpartition(" ")[2]).parent.exists()


def signals(line: str) -> int:
    """The set in a line of /proc/PID/status, without the C library's own signals.

    Nobody can set those two, and `make` leaves them ignored in what it starts.
    """
    return int(line.split()[1], 16) & ~(1 << 31 | 1 << 32)


def processes() -> list[int]:
    """Pids of `sleep MARK`."""
    found = subprocess.run(["pgrep", "-xf", f"sleep {MARK}"], capture_output=True, check=False)
    return [int(pid) for pid in found.stdout.split()]
