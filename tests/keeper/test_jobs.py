"""A job from its start to its end, by a real keeper."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.keeper.driver import MARK, PATIENCE_S, Driver, Keeper, processes
from worker.keeper.messages import Grown, Running, Tell

pytestmark = pytest.mark.every_python


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [
        pytest.param("exit 7", 7, None, id="the leader's code is the job's"),
        pytest.param("exit 137", 137, None, id="a code above 128 is a code"),
        pytest.param("kill -9 $$", None, signal.SIGKILL, id="a signal is told apart from a code"),
        pytest.param("kill -SEGV $$", None, signal.SIGSEGV, id="a crash is a signal"),
        pytest.param(f"setsid sleep {MARK} & exit 4", 4, None, id="children left behind are ended"),
        pytest.param("exec sh -c 'exit 5'", 5, None, id="exec of another program"),
        pytest.param("exec >&- 2>&-; exit 6", 6, None, id="closed outputs don't matter"),
    ],
)
def test_exit_is_exact(driver: Driver, script: str, code: int | None, number: int | None) -> None:
    job = driver.spawn("sh", "-c", script)
    ended = driver.ended(job)
    assert (ended["code"], ended["signal"], ended["cause"]) == (code, number, "own exit")
    assert ended["started_us"] <= ended["leader_exited_us"] <= ended["ended_us"]
    assert processes() == []


def test_a_background_child_does_not_hold_the_job_open(driver: Driver) -> None:
    job = driver.spawn(
        "bash", "-c", "echo done; (trap '' TERM; exec sleep 98707) & exit 0", grace_s=0.2
    )
    assert driver.ended(job)["code"] == 0
    assert driver.file(job, "output") == b"done\n"


def test_a_stranger_with_the_pipe_does_not_hold_the_job_open(
    driver: Driver, tmp_path: Path
) -> None:
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    job = driver.spawn("sh", "-c", f"echo $$; read line < {fifo}; echo out")
    driver.wait_output(job, b"\n")
    leader = int(driver.file(job, "output"))
    stranger = os.open(f"/proc/{leader}/fd/1", os.O_WRONLY)
    try:
        fifo.write_text("go\n")
        driver.ended(job)
        assert driver.file(job, "output") == b"%d\nout\n" % leader
    finally:
        os.close(stranger)


def test_growth_is_told_once_for_the_smallest_offset(driver: Driver, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    os.mkfifo(first)
    os.mkfifo(second)
    script = f"read x < {first}; printf 12345; read x < {second}; printf 67890"
    job = driver.spawn("sh", "-c", script)
    driver.send(Tell(job, 7))
    driver.send(Tell(job, 0))
    first.write_text("\n")
    assert driver.wait(Grown).size == 5
    driver.send(Tell(job, 5))
    second.write_text("\n")
    assert driver.wait(Grown).size == 10
    driver.ended(job)


def test_the_list_comes_before_any_event(driver: Driver) -> None:
    job = driver.spawn("sleep", "98708")
    assert driver.wait(Running).job == job
    driver.greet()
    driver.stop(job, 0)
    driver.ended(job)


def test_three_hundred_short_jobs_leave_nothing(driver: Driver, keeper: Keeper) -> None:
    before = descriptors(keeper.process.pid)
    for _ in range(6):
        requests = [driver.request("sh", "-c", "echo out; echo err >&2") for _ in range(50)]
        for request in requests:
            driver.send(request)
        for request in requests:
            assert driver.ended(request.job)["code"] == 0
            assert sorted(driver.file(request.job, "output").split()) == [b"err", b"out"]
    assert descriptors(keeper.process.pid) == before
    children = Path(f"/proc/{keeper.process.pid}/task/{keeper.process.pid}/children")
    assert children.read_text() == ""


def test_orphans_are_reaped(driver: Driver, keeper: Keeper, tmp_path: Path) -> None:
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    job = driver.spawn("sh", "-c", f"(setsid true &); (setsid true &); echo up; read x < {fifo}")
    driver.wait_output(job, b"up")  # before, there may be none yet
    children = Path(f"/proc/{keeper.process.pid}/task/{keeper.process.pid}/children")
    deadline = time.monotonic() + PATIENCE_S
    while len(children.read_text().split()) > 1 and time.monotonic() < deadline:
        os.sched_yield()
    left = [Path(f"/proc/{pid}/stat").read_text() for pid in children.read_text().split()]
    assert len(left) == 1, (left, keeper.log.read_text())
    fifo.write_text("\n")
    driver.ended(job)


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_who_reads_his_own_output_back_costs_nothing(driver: Driver) -> None:
    script = (
        "import os\n"
        "mine = os.open('/proc/self/fd/1', os.O_RDONLY | os.O_NONBLOCK)\n"
        "for _ in range(20000):\n"
        "    os.write(1, b'x' * 100)\n"
        "    try: os.read(mine, 65536)\n"
        "    except BlockingIOError: pass\n"
        "raise SystemExit(3)\n"
    )
    job = driver.spawn("python3", "-c", script)
    ended = driver.ended(job)
    assert (ended["code"], ended["cause"]) == (3, "own exit")
