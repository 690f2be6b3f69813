"""What a fault costs: of the keeper, of whoever speaks to it, of a job's folder, of one job."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.keeper.driver import (
    MARK,
    NO_SIGNAL,
    PATIENCE_S,
    Keeper,
    finish,
    processes,
    start,
)
from worker.keeper.messages import Ended, Signal

pytestmark = pytest.mark.every_python


def test_what_a_killed_keeper_left_is_ended_by_the_next(state: Path, tmp_path: Path) -> None:
    first = start(state, tmp_path / "first")
    job = first.driver.spawn("sh", "-c", f"setsid sleep {MARK} & echo up; wait")
    first.driver.wait_output(job, b"up\n")
    first.process.kill()
    first.process.wait()
    first.driver.end.close()
    second = start(state, tmp_path / "second")
    if " in cgroups below " in second.log.read_text():
        assert processes() == []
    for pid in processes():
        os.kill(pid, signal.SIGKILL)
    finish(second)


def test_nonsense_on_the_socket_ends_the_link_and_the_jobs(keeper: Keeper) -> None:
    job = keeper.driver.spawn("sleep", "98712")
    keeper.driver.end.sendall(b"\xff" * 64)
    assert keeper.process.wait(PATIENCE_S) == 0
    assert json.loads(keeper.driver.file(job, "ended"))["content"]["cause"] == "shutdown"
    assert "link closed" in keeper.log.read_text()


def test_an_end_that_can_not_be_written_is_said_in_a_line(keeper: Keeper) -> None:
    driver = keeper.driver
    job = driver.spawn("sh", "-c", "echo up; exec sleep 98726")
    driver.wait_output(job, b"up\n")
    shutil.rmtree(driver.state / "jobs" / job)
    driver.stop(job, 0)
    driver.wait(Ended, job=job)
    (line,) = keeper.log.read_text().splitlines()[1:]
    assert f" keeper: job {job}: its end can't be recorded: " in line


def test_a_fault_costs_one_job_and_ends_its_processes(keeper: Keeper) -> None:
    driver = keeper.driver
    other = driver.spawn("sh", "-c", "read x; sleep 98724", grace_s=0.2)
    job = driver.spawn("sh", "-c", f"echo up; sleep {MARK} & exec sleep {MARK}")
    driver.wait_output(job, b"up\n")
    driver.send(Signal(0, job, NO_SIGNAL, leader_only=False))
    driver.wait(Ended, job=job)
    assert processes() == []
    assert not (driver.state / "jobs" / job / "ended").exists()
    assert "fault in" in keeper.log.read_text()
    keeper.log.write_text("")  # it was meant
    driver.stop(other)
    driver.ended(other)
    assert driver.ended(driver.spawn("sh", "-c", "exit 4"))["code"] == 4
    assert keeper.log.read_text() == ""
