"""A client generated from the original contract, in any language, works unchanged."""

import hashlib
import os
import shutil
import signal
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Status

from certs.testset import make_test_set
from tests.e2e.drivers import LANGUAGES, Driver, Refused
from tests.e2e.service import PATIENCE_S, Service

pytestmark = pytest.mark.timeout(180)  # Go compiles gRPC the first time

NO_JOB = "0" * 32
ODD = ["", " ", "--", "-j", "a\nb", "ä€🙂"]


@pytest.fixture(scope="session", params=LANGUAGES)
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return LANGUAGES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture
def driver(command: list[str], shared: Service) -> Driver:
    return Driver(command, shared.address, shared.certificates)


def started(driver: Driver, *command: str) -> str:
    ((answer),) = driver.told("full", "start", *command)
    job: str = answer["job"]
    assert len(bytes.fromhex(job)) == 16
    return job


def queried(driver: Driver, job: str, identity: str = "full") -> dict[str, Any]:
    (answer,) = driver.told(identity, "query", job)
    return answer


def output_of(driver: Driver, job: str, identity: str = "full") -> bytes:
    *lines, end = driver.told(identity, "stream", job)
    assert end == {}
    return b"".join(b64decode(line["output"]) for line in lines)


@pytest.mark.every_python
@pytest.mark.parametrize(
    ("command_line", "output", "code"),
    [
        pytest.param(["sh", "-c", "echo out; exit 7"], "out\n", 7, id="its code"),
        pytest.param(["sh", "-c", "kill -9 $$"], "", 137, id="128 + its signal"),
        pytest.param(["printf", "<%s>", *ODD], "<>< ><--><-j><a\nb><ä€🙂>", 0, id="odd arguments"),
    ],
)
def test_a_job_is_started_watched_and_queried(
    driver: Driver, command_line: list[str], output: str, code: int
) -> None:
    job = started(driver, *command_line)
    assert output_of(driver, job) == output.encode()
    assert queried(driver, job) == {"status": "EXITED", "exitCode": code, "command": command_line}


@pytest.mark.every_python
def test_a_job_is_watched_while_it_runs_and_stopped_within_a_second(driver: Driver) -> None:
    job = started(driver, "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 1; done")
    with driver.telling("full", "stream", job) as lines:
        assert b64decode(next(lines)["output"]) == b"ready\n"
        running = queried(driver, job)
        assert (running["status"], running["exitCode"]) == ("RUNNING", 0)
        assert driver.told("full", "stop", job) == [{}]
        assert list(lines)[-1] == {}  # before it: what sh says of a killed sleep
    stopped = queried(driver, job)
    assert (stopped["status"], stopped["exitCode"]) == ("STOPPED", 3)
    assert driver.told("full", "stop", job) == [{}]  # no error


def test_eight_watchers_get_every_byte_of_30_mb(driver: Driver, tmp_path: Path) -> None:
    fifo, copy = tmp_path / "fifo", tmp_path / "copy"
    os.mkfifo(fifo)
    noise = f"head -c 30000000 /dev/urandom | tee -a {copy}"
    job = started(driver, "sh", "-c", f"echo on | tee {copy}; read line < {fifo}; {noise}")
    with driver.telling("readonly", "watch", job, "8") as lines:
        assert [next(lines) for _ in range(8)] == 8 * [{"watching": True}]  # while it waits for us
        fifo.write_text("\n")
        ends = list(lines)
    expected = copy.read_bytes()
    assert len(expected) == 30_000_003
    assert ends == 8 * [{"size": 30_000_003, "sha256": hashlib.sha256(expected).hexdigest()}]
    assert driver.told("readonly", "watch", job, "1")[1:] == ends[:1]  # one who comes late


def test_a_stream_that_outlives_its_deadline_ends_and_the_job_goes_on(driver: Driver) -> None:
    job = started(driver, "sleep", "600")
    with pytest.raises(Refused) as end:
        driver.told("full", "stream", job, "1")
    assert end.value.status is Status.DEADLINE_EXCEEDED
    assert queried(driver, job)["status"] == "RUNNING"
    driver.told("full", "stop", job)


@pytest.mark.every_python
def test_a_server_that_leaves_ends_the_stream_with_unavailable(
    command: list[str], server: Service
) -> None:
    driver = Driver(command, server.address, server.certificates)
    job = started(driver, "sh", "-c", "echo on; exec sleep 600")
    with driver.telling("full", "stream", job) as lines:
        assert b64decode(next(lines)["output"]) == b"on\n"
        server.keeper.send_signal(signal.SIGTERM)
        with pytest.raises(Refused, match="leaving") as end:
            next(lines)
    assert end.value.status is Status.UNAVAILABLE
    assert server.keeper.wait(PATIENCE_S) == 0


REFUSED = {
    "query: no such job": ("full", ["query", NO_JOB], Status.NOT_FOUND),
    "stop: no such job": ("full", ["stop", NO_JOB], Status.NOT_FOUND),
    "stream: no such job": ("full", ["stream", NO_JOB], Status.NOT_FOUND),
    "query: an id of no byte": ("full", ["query", ""], Status.INVALID_ARGUMENT),
    "stop: an id of 2 bytes": ("full", ["stop", "0102"], Status.INVALID_ARGUMENT),
    "stream: an id of 17 bytes": ("full", ["stream", 17 * "00"], Status.INVALID_ARGUMENT),
    "start: no such file": ("full", ["start", "/no/such/file"], Status.INVALID_ARGUMENT),
    "start: not executable": ("full", ["start", "/etc/passwd"], Status.INVALID_ARGUMENT),
    "start: no command": ("full", ["start", ""], Status.INVALID_ARGUMENT),
    "start: 300 kB": ("full", ["start", *3 * [100_000 * "x"]], Status.RESOURCE_EXHAUSTED),
    "no such method": ("full", ["call", "/workerservice.WorkerService/X"], Status.UNIMPLEMENTED),
    "no such service": ("full", ["call", "/other.Service/Start"], Status.UNIMPLEMENTED),
    "start: readonly": ("readonly", ["start", "true"], Status.PERMISSION_DENIED),
    "stop: readonly": ("readonly", ["stop", NO_JOB], Status.PERMISSION_DENIED),
    "query: no role": ("norole", ["query", NO_JOB], Status.PERMISSION_DENIED),
    "stream: no role": ("norole", ["stream", NO_JOB], Status.PERMISSION_DENIED),
    "start: no certificate": ("none", ["start", "true"], Status.UNAUTHENTICATED),
    "stop: no certificate": ("none", ["stop", NO_JOB], Status.UNAUTHENTICATED),
    "query: no certificate": ("none", ["query", NO_JOB], Status.UNAUTHENTICATED),
    "stream: no certificate": ("none", ["stream", NO_JOB], Status.UNAUTHENTICATED),
}


@pytest.mark.parametrize(("identity", "call", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_has_its_status_and_says_why(
    driver: Driver, identity: str, call: list[str], status: Status
) -> None:
    with pytest.raises(Refused) as refusal:
        driver.told(identity, *call)
    assert refusal.value.status is status
    assert refusal.value.details


def test_a_certificate_of_another_authority_meets_unavailable(
    driver: Driver, tmp_path: Path
) -> None:
    make_test_set(tmp_path, datetime.now(UTC))
    shutil.copy(driver.folder / "ca.pem", tmp_path)  # it trusts the server, not the reverse
    with pytest.raises(Refused) as refusal:
        replace(driver, folder=tmp_path).told("full", "query", NO_JOB)
    assert refusal.value.status is Status.UNAVAILABLE
