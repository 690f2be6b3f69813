"""Limits that the keeper keeps by itself, those of each process, and what it can't keep."""

import pwd
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper.driver import Driver, Keeper, finish, start
from tests.keeper.test_ways import without_cgroups
from worker.keeper.messages import Changed, Signal

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(
    params=[
        pytest.param([], id="with cgroups"),
        pytest.param(without_cgroups(), id="without cgroups"),
    ]
)
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keeper]:
    started = start(tmp_path, tmp_path / "log", request.param)
    yield started
    finish(started)


@pytest.fixture
def driver(keeper: Keeper) -> Driver:
    return keeper.driver


def test_a_time_limit_counts_from_execve_and_is_the_cause(driver: Driver) -> None:
    job = driver.spawn("sleep", "60", time_s=0.3)
    ended = driver.ended(job)
    assert (ended["signal"], ended["cause"], ended["reason"]) == (
        signal.SIGTERM,
        "time limit",
        "time limit 0.3 s",
    )
    assert ended["ended_us"] - ended["started_us"] >= 300_000


def test_after_a_time_limit_the_grace_period_runs(driver: Driver) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 60; done"
    job = driver.spawn("sh", "-c", script, time_s=0.3, grace_s=0.2)
    ended = driver.ended(job)
    assert (ended["signal"], ended["cause"]) == (signal.SIGKILL, "time limit")
    assert ended["ended_us"] - ended["started_us"] >= 500_000


def test_who_ends_in_time_keeps_its_own_cause(driver: Driver) -> None:
    ended = driver.ended(driver.spawn("sh", "-c", "exit 3", time_s=30.0))
    assert (ended["code"], ended["cause"], ended["reason"]) == (3, "own exit", "")


@pytest.mark.parametrize(
    ("limit", "script", "printed"),
    [
        ({"open_files": 32}, "ulimit -n; ulimit -Hn", "32\n32"),
        ({"core": 0}, "ulimit -Hc", "0"),
        ({"nice": 7}, "nice", "7"),
    ],
    ids=str,
)
def test_limits_of_each_process(
    driver: Driver, limit: dict[str, int], script: str, printed: str
) -> None:
    job = driver.spawn("sh", "-c", script, **limit)
    driver.ended(job)
    assert driver.file(job, "output").decode().strip() == printed


def test_what_nobody_may_give_is_refused(driver: Driver) -> None:
    refused = driver.refusal("true", open_files=2**40)
    assert refused.text.startswith("limits: openFiles 1099511627776: more than the service may")


@pytest.mark.parametrize("name", ["memory", "cpus", "processes"])
def test_what_no_controller_keeps_is_refused(driver: Driver, name: str) -> None:
    refused = driver.refusal("true", **{name: 100})
    assert refused.text.startswith(f"limits.{name} can't be kept here")
    assert "Delegate=yes" in refused.text


def test_what_was_used_is_told(driver: Driver) -> None:
    script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    ended = driver.ended(driver.spawn("sh", "-c", script))
    assert 10_000 < ended["user_us"] + ended["system_us"] < 60_000_000


def test_another_user_has_its_groups_and_can_write_to_dev_stderr(driver: Driver) -> None:
    script = "id -u; id -g; id -G; echo err > /dev/stderr; echo $SHELL"
    job = driver.spawn(
        "sh", "-c", script, uid=NOBODY.pw_uid, gid=NOBODY.pw_gid, groups=[NOBODY.pw_gid, 12345]
    )
    assert driver.ended(job)["code"] == 0
    lines = driver.file(job, "output").decode().split()
    assert sorted(lines[:2]) == sorted([str(NOBODY.pw_uid), str(NOBODY.pw_gid)])
    assert {"12345", "err"} <= set(lines)


def test_a_job_of_another_user_dies_with_the_keeper_and_can_be_stopped(driver: Driver) -> None:
    job = driver.spawn("sleep", "60", uid=NOBODY.pw_uid, gid=NOBODY.pw_gid, groups=[])
    driver.stop(job)
    assert driver.ended(job)["signal"] == signal.SIGTERM


def test_a_directory_that_its_user_may_not_enter_is_refused(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    refused = driver.refusal(
        "true", directory=str(tmp_path / "own"), uid=NOBODY.pw_uid, gid=NOBODY.pw_gid
    )
    assert "own: may not be entered" in refused.text


def test_a_pause_is_told(driver: Driver) -> None:
    job = driver.spawn("sleep", "60")
    for number, is_paused in ((signal.SIGSTOP, True), (signal.SIGCONT, False)):
        driver.send(Signal(0, job, number, leader_only=False))
        assert driver.wait(Changed, job=job).is_paused is is_paused
    driver.stop(job)
    driver.ended(job)
