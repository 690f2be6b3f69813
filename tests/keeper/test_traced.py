"""A dead process that a debugger holds: it holds up nothing, and the keeper does not spin."""

import ctypes
import os
import signal
from pathlib import Path

import pytest

from tests.keeper.driver import Driver, Keeper, finish, start
from tests.keeper.test_ways import without_cgroups
from worker.keeper.messages import Changed

PTRACE_SEIZE = 0x4206
WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return start(tmp_path, tmp_path / "log", without_cgroups())


def traced(driver: Driver, script: str) -> tuple[str, int]:
    """A job, and the process of it whose pid it prints: we are its debugger now."""
    job = driver.spawn("bash", "-c", script, grace_s=0.1, has_input=True)
    driver.wait_output(job, b"\n")
    pid = int(driver.file(job, "output"))
    assert _libc.ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, os.strerror(ctypes.get_errno())
    return job, pid


def let_go(pid: int) -> None:
    os.waitpid(pid, WALL)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_leader_is_named_and_ends_its_job_once_it_is_let_go(keeper: Keeper) -> None:
    driver = keeper.driver
    job, pid = traced(driver, "echo $$; read x")
    before = cpu_s(keeper.process.pid)
    driver.stop(job, 0)
    reason = driver.wait(Changed, job=job).reason  # some kills later
    state = f"pid {pid} (bash, Z, traced by pid {os.getpid()})"
    assert reason == f"SIGKILL was sent, and still there: {state}"
    assert cpu_s(keeper.process.pid) - before < 0.3
    let_go(pid)
    assert driver.ended(job)["signal"] == signal.SIGKILL
    finish(keeper)


def test_another_of_the_tree_holds_up_no_end(keeper: Keeper) -> None:
    driver = keeper.driver
    job, pid = traced(driver, "(echo $BASHPID; exec sleep 600) & wait; wait")
    driver.stop(job)
    assert driver.ended(job)["cause"] == "stop"
    let_go(pid)
    finish(keeper)
