"""The server as the keeper's child. Here it is a relay, so that a test can speak for it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.keeper.driver import KEEPER, PATIENCE_S, Driver
from worker.keeper.messages import Ended, Leave, List, Listed, ListEnd, Ready, Refused
from worker.keeper.records import Kind

pytestmark = pytest.mark.every_python

RELAY = """
import select, socket, sys
if "--check" in sys.argv:
    sys.exit(0)
keeper = socket.socket(fileno=int(sys.argv[-1]))
test = socket.socket(fileno=int(sys.argv[1])).accept()[0]
while True:
    for source, sink in ((keeper, test), (test, keeper)):
        if select.select([source], [], [], 0.01)[0]:
            data = source.recv(65536)
            if not data:
                sys.exit(0)
            sink.sendall(data)
"""


@dataclass(frozen=True)
class Service:
    state: Path
    process: subprocess.Popen[bytes]
    log: Path

    def connect(self) -> Driver:
        """The server that runs now, or the next one: meanwhile the connection is queued."""
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(self.state / "listening"))
        return Driver(end, self.state)

    def server(self) -> int:
        """The pid of the serving child, once there is one."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for pid in path.read_text().split():
                if b"\0--keeper\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
        raise TimeoutError


Starter = Callable[..., Service]


@pytest.fixture
def serve(state: Path, tmp_path: Path) -> Iterator[Starter]:
    started: list[Service] = []

    def start(script: str = RELAY) -> Service:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(state / "listening"))
        listening.listen()
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT)
        argv = [sys.executable, "-I", "-S", KEEPER, str(state), "--lock", str(lock)]
        argv += ["--listen", str(listening.fileno())]
        server = os.memfd_create("server")
        program = tmp_path / "server.py"
        program.write_text(script)
        words = [sys.executable, "-I", str(program), str(listening.fileno())]
        commands = {"serve": words, "check": [*words, "--check"]}
        os.write(server, json.dumps(commands).encode())
        argv += ["--server", str(server)]
        log = tmp_path / "log"
        with log.open("ab") as stderr, listening:
            files = [lock, listening.fileno(), server]
            process = subprocess.Popen(argv, pass_fds=files, stderr=stderr)
        os.close(lock)
        os.close(server)
        started.append(Service(state, process, log))
        return started[-1]

    yield start
    for service in started:
        service.process.terminate()
        service.process.wait(PATIENCE_S)
        assert "fault" not in service.log.read_text()


def ready(service: Service, grace_s: float = 10.0) -> Driver:
    driver = service.connect()
    driver.greet()
    driver.send(Ready(grace_s))
    return driver


def test_a_first_server_that_is_never_ready_ends_the_keeper_with_its_status(serve: Starter) -> None:
    service = serve("import sys; sys.exit(7)")
    assert service.process.wait(PATIENCE_S) == 7
    assert "the service ends" not in service.log.read_text()


def test_a_killed_server_is_followed_by_another_and_no_job_notices(serve: Starter) -> None:
    service = serve()
    driver = ready(service)
    job = driver.spawn("sh", "-c", "echo before; read x; sleep 98720")
    for _ in range(3):
        os.kill(service.server(), signal.SIGKILL)
        driver.end.close()
        driver = service.connect()
        driver.greet()
        assert driver.wait(Listed).job == job
        driver.send(Ready(10.0))
    driver.stop(job)
    assert driver.ended(job)["signal"] == signal.SIGTERM
    assert service.log.read_text().count("the server ended with status 137: next start in") == 3
    driver.end.close()


def test_a_job_that_ends_while_no_server_is_there_is_recorded(serve: Starter) -> None:
    service = serve()
    driver = ready(service)
    fifo = service.state / "go"
    os.mkfifo(fifo)
    job = driver.spawn("sh", "-c", f"echo a; read x < {fifo}; echo b; exit 6")
    server = service.server()
    os.kill(server, signal.SIGSTOP)  # it hears of nothing
    fifo.write_text("\n")
    while not (service.state / "jobs" / job / "ended").exists():
        os.sched_yield()
    os.kill(server, signal.SIGKILL)
    driver.end.close()
    driver = service.connect()
    driver.greet()
    assert driver.file(job, "output") == b"a\nb\n"
    driver.end.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_told_to_end_it_tells_the_server_ends_the_jobs_and_exits_0(
    serve: Starter, number: signal.Signals
) -> None:
    service = serve()
    driver = ready(service)
    job = driver.spawn("sleep", "98721")
    service.process.send_signal(number)
    driver.wait(Leave)
    assert driver.ended(job)["cause"] == "shutdown"
    driver.wait_closed()
    assert service.process.wait(PATIENCE_S) == 0
    told, gone = service.log.read_text().splitlines()[-2:]
    assert told.endswith(" told to end; jobs left: 1; grace period: 10 s")
    assert gone.endswith(" no job is left: the service ends")
    driver.end.close()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM])
def test_a_signal_of_other_daemons_ends_nothing(serve: Starter, number: signal.Signals) -> None:
    service = serve()
    driver = ready(service)
    job = driver.spawn("sleep", "98721")
    service.process.send_signal(number)
    driver.stop(job, 0)
    driver.ended(job)
    ended = driver.ended(driver.spawn("sh", "-c", f"kill -{number.value} $$"))
    assert ended["signal"] == number
    said = "SIGUSR1, SIGUSR2 and SIGALRM do nothing: SIGHUP reloads, SIGTERM ends"
    assert said in service.log.read_text()
    driver.end.close()


def test_a_second_sigterm_hurries(serve: Starter) -> None:
    service = serve()
    driver = ready(service, grace_s=3600)
    job = driver.spawn("sh", "-c", "trap '' TERM; echo up; while :; do sleep 98722; done")
    driver.wait_output(job, b"up\n")
    service.process.terminate()
    driver.wait(Leave)
    service.process.terminate()
    driver.wait(Ended, job=job)
    driver.wait_closed()
    assert service.process.wait(PATIENCE_S) == 0
    graces = [line.split("left: 1; ")[1] for line in service.log.read_text().splitlines()[-3:-1]]
    assert graces == ["grace period: 3600 s", "grace period: 0 s"]
    driver.end.close()


def test_sighup_replaces_server_and_keeper_and_no_job_notices(serve: Starter) -> None:
    service = serve()
    driver = ready(service)
    go = service.state / "go"
    os.mkfifo(go)
    counting = driver.spawn("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done")
    waiting = driver.spawn("sh", "-c", f"trap 'echo hup' HUP; echo up; read x < {go}; exit 6")
    ending = driver.spawn("sh", "-c", "trap '' TERM; echo up; while :; do sleep 98723; done")
    driver.wait_output(waiting, b"up\n")
    driver.wait_output(ending, b"up\n")
    driver.stop(ending, 3600)
    refused = [driver.request("no-such") for _ in range(2)]
    for request in refused:
        driver.send(request)
        driver.wait(Refused)
    for is_slow in (True, False, False):
        before = service.server()
        service.process.send_signal(signal.SIGHUP)
        driver.wait(Leave)
        if is_slow:  # the keeper waits for a server, but not for ever
            driver.wait_closed()
        driver.end.close()
        driver = ready(service)
        assert service.server() != before
    listed = {job for job in (counting, waiting, ending) if driver.has_listed(job)}
    assert {waiting, ending} <= listed
    driver.send(List())
    assert driver.wait(ListEnd).refused == [request.job for request in refused]
    go.write_text("\n")
    assert driver.ended(waiting)["code"] == 6
    assert driver.file(waiting, "output") == b"up\n"
    driver.stop(ending, 0)
    ended = driver.ended(ending)
    assert (ended["signal"], ended["stopped_by"]) == (9, "the test")
    if counting in listed:
        driver.wait(Ended, job=counting)
    assert driver.file(counting, "output").split() == [b"%d" % n for n in range(1, 20001)]
    driver.end.close()


def test_the_exit_of_a_leader_is_recorded_once_however_often_the_keeper_is_replaced(
    serve: Starter,
) -> None:
    service = serve()
    driver = ready(service)
    job = driver.spawn("sh", "-c", "trap '' TERM; sleep 98726 & exit 3")
    wait_index(driver, job)
    for _ in range(2):
        service.process.send_signal(signal.SIGHUP)
        driver.wait(Leave)
        driver.end.close()  # so the server goes at once
        driver = ready(service)
    driver.stop(job, 0)
    assert driver.ended(job)["code"] == 3
    assert [kind for kind, _, _ in driver.index(job)].count(Kind.EXIT) == 1
    driver.end.close()


def wait_index(driver: Driver, job: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while Kind.EXIT not in [kind for kind, _, _ in driver.index(job)]:
        assert time.monotonic() < deadline
        os.sched_yield()


def test_sigterm_during_a_check_ends_it_too(serve: Starter) -> None:
    service = serve(RELAY.replace("sys.exit(0)", "import time; time.sleep(3600)", 1))
    driver = ready(service)
    service.process.send_signal(signal.SIGHUP)
    wait_children(service, 2)
    service.process.terminate()
    driver.wait_closed()
    assert service.process.wait(PATIENCE_S) == 0
    assert subprocess.run(["pgrep", "-f", str(service.log.parent)], check=False).returncode == 1
    driver.end.close()


def wait_children(service: Service, count: int) -> None:
    path = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    deadline = time.monotonic() + PATIENCE_S
    while len(path.read_text().split()) < count:
        assert time.monotonic() < deadline
        os.sched_yield()


REFUSING = RELAY.replace("sys.exit(0)", "sys.exit('not good')", 1)


def test_sighup_replaces_nothing_if_the_check_fails(serve: Starter) -> None:
    service = serve(REFUSING)
    driver = ready(service)
    before = service.server()
    service.process.send_signal(signal.SIGHUP)
    wait_log(service, "nothing was replaced")
    assert service.server() == before
    assert driver.ended(driver.spawn("true"))["code"] == 0
    driver.end.close()


def wait_log(service: Service, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while text not in service.log.read_text():
        assert time.monotonic() < deadline, service.log.read_text()
        os.sched_yield()


def test_jobs_inherit_neither_sockets_nor_the_lock(serve: Starter) -> None:
    service = serve()
    driver = ready(service)
    job = driver.spawn("sh", "-c", "ls /proc/$$/fd")
    driver.ended(job)
    assert driver.file(job, "output") == b"0\n1\n2\n"
    driver.end.close()
