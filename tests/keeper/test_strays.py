"""Without cgroups: what is nobody's, and what a keeper that was killed has left."""

import os
import select
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.keeper.driver import KEEPER, PATIENCE_S, Keeper, finish, start
from tests.keeper.test_ways import without_cgroups
from worker.keeper.messages import Done

DAEMON = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
time.sleep(600)
"""
# A zombie that can't be reaped: its first thread has ended, another one runs on.
HALF_A_ZOMBIE = """
import ctypes, os, threading, time
told, tell = os.pipe()
def run_on():
    while ") Z " not in open("/proc/self/stat").read():
        pass
    os.write(tell, b"x")
    time.sleep(600)
if not os.fork():
    threading.Thread(target=run_on).start()
    ctypes.CDLL(None).pthread_exit(None)
os.read(told, 1)
os.write(1, b"up")
os._exit(3)
"""
DAEMONS = 60
BEARS_THE_MARK = "setsid sh -c 'echo $$; exec sleep 600' & echo up; wait"


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """To be killed."""
    started = start(tmp_path, tmp_path / "log", without_cgroups())
    yield started
    started.driver.end.close()
    started.process.kill()
    started.process.wait()


def wait_gone(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone, _, _ = select.select([pidfd], [], [], PATIENCE_S)
    os.close(pidfd)
    assert gone


def test_the_next_keeper_ends_orphans_of_an_unfinished_job_and_nobody_else(
    keeper: Keeper, tmp_path: Path
) -> None:
    driver = keeper.driver
    request = driver.request("bash", "-c", BEARS_THE_MARK)
    mark = {"WORKER_JOB_ID": request.job}
    job = driver.spawn(
        "bash", "-c", BEARS_THE_MARK, job=request.job, environment=request.environment | mark
    )
    driver.wait_output(job, b"up")
    while len(driver.file(job, "output").split()) < 2:
        driver.wait_output(job, b"\n")
    orphan = next(int(word) for word in driver.file(job, "output").split() if word.isdigit())
    stranger = subprocess.Popen(["sleep", "600"], env=mark)
    keeper.process.kill()
    keeper.process.wait()
    os.kill(orphan, 0)  # it has a session of its own, and lives on
    after = start(tmp_path, tmp_path / "log", without_cgroups())
    finish(after)
    wait_gone(orphan)
    assert stranger.poll() is None, "who only wears the mark, and has its parent"
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()
    assert "1 processes that an earlier keeper left were ended" in after.log.read_text()


def test_a_job_that_becomes_a_daemon_never_outlives_its_end(tmp_path: Path) -> None:
    """However its forks and exits fall: each generation comes to the keeper when one ends."""
    started = start(tmp_path, tmp_path / "log", without_cgroups())
    driver = started.driver
    for _ in range(DAEMONS):
        request = driver.request(sys.executable, "-I", "-S", "-c", DAEMON, grace_s=5.0)
        mark = {"WORKER_JOB_ID": request.job}
        driver.send(replace(request, environment=request.environment | mark))
        assert driver.ended(request.job)["code"] == 0
        assert marked(request.job) == []
    finish(started)
    assert "stray" not in started.log.read_text()


def marked(job: str) -> list[str]:
    """Processes that bear the mark of `job`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"WORKER_JOB_ID={job}".encode() in environment:
            found.append(entry.name)
    return found


def test_a_keeper_that_a_job_of_before_has_started_lives(tmp_path: Path) -> None:
    """Such a job restarts the service: the mark is in our own environment."""
    job = str(uuid.uuid4())
    (tmp_path / "jobs" / job).mkdir(parents=True)
    environment = os.environ | {"WORKER_JOB_ID": job}
    started = start(
        tmp_path, tmp_path / "log", without_cgroups(), start_new_session=True, env=environment
    )
    finish(started)


def test_a_zombie_that_can_not_be_reaped_holds_up_no_job_and_is_ended(tmp_path: Path) -> None:
    started = start(tmp_path, tmp_path / "log", without_cgroups())
    driver = started.driver
    request = driver.request(sys.executable, "-c", HALF_A_ZOMBIE, grace_s=600.0)
    mark = {"WORKER_JOB_ID": request.job}
    driver.send(replace(request, environment=request.environment | mark))
    driver.wait(Done)
    driver.wait_output(request.job, b"up")
    other = driver.spawn("sh", "-c", "exit 5")
    assert driver.ended(other)["code"] == 5
    driver.stop(request.job, 0)
    assert driver.ended(request.job)["code"] == 3
    finish(started)


def test_a_keeper_whose_program_has_gone_before_it_looks_goes_too(tmp_path: Path) -> None:
    """Somebody else is its parent by then; a copy of the program may hold the socket."""
    ours, theirs = socket.socketpair()
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    options = ["--lock", str(lock), "--program", str(theirs.fileno())]
    forked = ["setsid", "--fork", sys.executable, "-I", "-S", KEEPER, str(tmp_path), *options]
    subprocess.run(forked, pass_fds=[lock, theirs.fileno()], check=True)
    os.close(lock)
    theirs.close()
    ours.settimeout(PATIENCE_S)
    assert ours.recv(1) == b""
    ours.close()
