"""A stop by a real keeper: the stop signal, the grace period, SIGKILL; of a job, or of all."""

import json
import os
import signal
import time

import pytest

from tests.keeper.driver import MARK, PATIENCE_S, Driver, Keeper, processes
from worker.keeper.messages import Done, Ended, Leave, Refused
from worker.keeper.records import Kind

pytestmark = pytest.mark.every_python


def test_stop_ends_the_whole_tree(driver: Driver) -> None:
    job = driver.spawn("bash", "-c", f'bash -c "bash -c \\"sleep {MARK}; :\\"; :"; :')
    assert isinstance(driver.stop(job), Done)
    ended = driver.ended(job)
    assert (ended["signal"], ended["cause"], ended["stopped_by"]) == (15, "stop", "the test")
    assert processes() == []


def test_the_grace_period_is_the_childrens_too(driver: Driver) -> None:
    # The leader dies of SIGTERM at once; its child shuts down in order.
    slow = "exec 2>&-; trap 'sleep 0.3; echo bye; exit' TERM; echo up; while :; do sleep 0.05; done"
    job = driver.spawn("sh", "-c", f"(trap '' HUP; exec sh -c \"{slow}\") & exec sleep 98703")
    driver.wait_output(job, b"up\n")
    driver.stop(job)
    assert driver.ended(job)["signal"] == signal.SIGTERM
    assert driver.file(job, "output") == b"up\nbye\n"


def test_what_ignores_sigterm_is_killed_after_the_grace_period(driver: Driver) -> None:
    job = driver.spawn("sh", "-c", f"trap '' TERM; echo up; while :; do sleep {MARK}; done")
    driver.wait_output(job, b"up\n")
    began = time.monotonic()
    driver.stop(job, 0.5)
    assert driver.ended(job)["signal"] == signal.SIGKILL
    assert time.monotonic() - began >= 0.5
    assert processes() == []


def test_a_second_stop_may_only_shorten(driver: Driver) -> None:
    job = driver.spawn("sh", "-c", "trap '' TERM; echo up; while :; do sleep 98705; done")
    driver.wait_output(job, b"up\n")
    driver.stop(job, 3600)
    driver.stop(job, 7200)
    driver.stop(job, 0)
    assert driver.ended(job)["stopped_by"] == "the test"


def test_a_stopped_process_hears_sigterm(driver: Driver) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; kill -STOP $$; while :; do sleep 0.05; done"
    job = driver.spawn("sh", "-c", script)
    driver.wait_output(job, b"up\n")
    driver.stop(job)
    driver.ended(job)
    assert driver.file(job, "output") == b"up\nbye\n"


def test_a_stop_after_the_leaders_exit_keeps_the_exit(driver: Driver) -> None:
    script = f"trap '' TERM; sleep {MARK} & exit 3"
    job = driver.spawn("bash", "-c", script)
    wait_index(driver, job, Kind.EXIT)
    assert isinstance(driver.stop(job, 0), Done)
    ended = driver.ended(job)
    assert (ended["code"], ended["cause"], ended["stopped_by"]) == (3, "own exit", None)
    assert processes() == []


def wait_index(driver: Driver, job: str, kind: Kind) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while kind not in [seen for seen, _, _ in driver.index(job)]:
        assert time.monotonic() < deadline
        os.sched_yield()


def test_stopping_what_is_over_says_so(driver: Driver) -> None:
    job = driver.spawn("true")
    driver.ended(job)
    answer = driver.stop(job)
    assert isinstance(answer, Refused)
    assert answer.refusal == "not found"


def test_leave_ends_all_jobs_and_records_them(driver: Driver, keeper: Keeper) -> None:
    go = driver.state / "go"
    os.mkfifo(go)
    script = f"trap 'read x < {go}; exit' TERM; echo up; while :; do sleep 0.05; done"
    last = driver.spawn("sh", "-c", script)
    driver.wait_output(last, b"up\n")
    jobs = [driver.spawn("sleep", "98709") for _ in range(5)]
    driver.send(Leave())
    assert isinstance(refused(driver), Refused)
    go.write_text("\n")
    ended = {message.job for message in driver.wait_closed() if isinstance(message, Ended)}
    assert ended == {last, *jobs}
    assert keeper.process.wait(PATIENCE_S) == 0
    for job in jobs:
        content = json.loads(driver.file(job, "ended"))["content"]
        assert (content["signal"], content["cause"]) == (15, "shutdown")


def refused(driver: Driver) -> object:
    request = driver.request("true")
    driver.send(request)
    return driver.wait(Done, Refused)


def test_the_end_of_the_program_is_the_end_of_its_jobs(keeper: Keeper) -> None:
    job = keeper.driver.spawn("sleep", "98710")
    keeper.driver.end.close()
    assert keeper.process.wait(PATIENCE_S) == 0
    assert json.loads(keeper.driver.file(job, "ended"))["content"]["cause"] == "shutdown"


def test_signals_of_other_daemons_end_no_programs_keeper(keeper: Keeper) -> None:
    for number in (signal.SIGHUP, signal.SIGUSR1):
        keeper.process.send_signal(number)
    keeper.driver.ended(keeper.driver.spawn("true"))
    (line,) = keeper.log.read_text().splitlines()[1:]
    assert line.endswith(" SIGUSR1, SIGUSR2 and SIGALRM do nothing: SIGTERM ends")
