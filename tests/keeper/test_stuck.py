"""What SIGKILL doesn't end is named with its pid; no answer waits for it, and the keeper goes."""

import os
import pwd
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper.driver import NO_SIGNAL, PATIENCE_S, Keeper, start
from worker.keeper.messages import Changed, Leave, List, Listed, Signal

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """One without rights over root's processes."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, NOBODY.pw_uid, NOBODY.pw_gid)
    started = start(state, tmp_path / "log", AS_NOBODY)
    yield started
    started.driver.end.close()
    assert started.process.wait(PATIENCE_S) == 0, started.log.read_text()
    assert "fault" not in started.log.read_text()


@pytest.fixture
def becomes_root(tmp_path: Path) -> str:
    """A program that changes to root and executes the rest."""
    program = tmp_path / "becomes-root"
    shutil.copy(shutil.which("setpriv") or "", program)
    program.chmod(stat.S_ISUID | 0o755)
    return f"{program} --reuid 0"


def test_a_child_with_more_rights_is_named_and_holds_nothing_up(
    keeper: Keeper, becomes_root: str
) -> None:
    driver = keeper.driver
    script = f"{becomes_root} sh -c 'echo $$; exec sleep 60' & wait"
    job = driver.spawn("bash", "-c", script, grace_s=0.2)
    driver.wait_output(job, b"\n")
    pid = int(driver.file(job, "output"))
    driver.stop(job)
    reason = driver.wait(Changed, job=job).reason
    assert reason == f"SIGKILL was sent, and still there: pid {pid} (sleep, S)"
    other = driver.spawn("sh", "-c", "exit 3")
    assert driver.ended(other)["code"] == 3
    driver.send(List())
    assert driver.wait(Listed, job=job).reason == reason
    os.kill(pid, signal.SIGKILL)
    ended = driver.ended(job)
    assert (ended["cause"], ended["signal"], ended["reason"]) == ("stop", signal.SIGTERM, "")


def test_the_keeper_goes_without_it_and_the_job_is_lost(keeper: Keeper, becomes_root: str) -> None:
    driver = keeper.driver
    script = f"{becomes_root} sh -c 'echo $$; exec sleep 60' & wait"
    job = driver.spawn("bash", "-c", script, grace_s=0.2)
    driver.wait_output(job, b"\n")
    pid = int(driver.file(job, "output"))
    driver.send(Leave())
    ended = driver.ended(job)
    assert (ended["cause"], ended["code"], ended["signal"]) == ("lost", None, None)
    assert f"still there: pid {pid}" in ended["reason"]
    assert driver.file(job, "output").decode().strip() == str(pid)
    driver.wait_closed()
    os.kill(pid, signal.SIGKILL)


def test_the_keeper_goes_without_it_after_a_fault(keeper: Keeper, becomes_root: str) -> None:
    driver = keeper.driver
    script = f"{becomes_root} sh -c 'echo $$; exec sleep 60' & wait"
    job = driver.spawn("bash", "-c", script, grace_s=0.2)
    driver.wait_output(job, b"\n")
    pid = int(driver.file(job, "output"))
    driver.send(Signal(0, job, NO_SIGNAL, leader_only=False))
    driver.send(Leave())
    driver.wait_closed()
    assert keeper.process.wait(PATIENCE_S) == 0
    keeper.log.write_text("")  # it was meant
    os.kill(pid, signal.SIGKILL)
