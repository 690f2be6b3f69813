"""A job from its start to its end, by a real keeper."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.keeper.driver import NO_SIGNAL, PATIENCE_S, Driver, Keeper, finish, signals, start
from worker.keeper.messages import (
    Done,
    Ended,
    Grown,
    Leave,
    List,
    ListEnd,
    Refused,
    Running,
    Signal,
    Tell,
)
from worker.keeper.records import Kind

pytestmark = pytest.mark.every_python


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [
        pytest.param("exit 7", 7, None, id="the leader's code is the job's"),
        pytest.param("exit 137", 137, None, id="a code above 128 is a code"),
        pytest.param("kill -9 $$", None, signal.SIGKILL, id="a signal is told apart from a code"),
        pytest.param("kill -SEGV $$", None, signal.SIGSEGV, id="a crash is a signal"),
        pytest.param("setsid sleep 98701 & exit 4", 4, None, id="children left behind are ended"),
        pytest.param("exec sh -c 'exit 5'", 5, None, id="exec of another program"),
        pytest.param("exec >&- 2>&-; exit 6", 6, None, id="closed outputs don't matter"),
    ],
)
def test_exit_is_exact(driver: Driver, script: str, code: int | None, number: int | None) -> None:
    job = driver.spawn("sh", "-c", script)
    ended = driver.ended(job)
    assert (ended["code"], ended["signal"], ended["cause"]) == (code, number, "own exit")
    assert ended["started_us"] <= ended["leader_exited_us"] <= ended["ended_us"]
    assert processes("98701") == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        pytest.param("no-such", "no-such: not found in PATH (/usr/bin:/bin)", id="in PATH"),
        pytest.param("/no/such", "/no/such: not found", id="by path"),
        pytest.param("/etc/passwd/x", "a part of the path is not a directory", id="file as folder"),
        pytest.param("/tmp", "/tmp: is a directory", id="a directory"),
        pytest.param("{}/plain", "plain: not executable", id="without the x bit"),
        pytest.param("{}/bad", "interpreter /no/interp is missing", id="interpreter missing"),
        pytest.param("{}/text", "not a program", id="text without an interpreter line"),
        pytest.param("", "invalid argument", id="an empty name"),
    ],
)
def test_what_can_not_be_executed_says_why(
    driver: Driver, tmp_path: Path, command: str, text: str
) -> None:
    for name, content, mode in (
        ("plain", "#!/bin/sh\n", 0o644),
        ("bad", "#!/no/interp -x\n", 0o755),
        ("text", "hello\n", 0o755),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    assert text in driver.refusal(command.format(tmp_path)).text


def test_a_directory_that_is_missing_is_named(driver: Driver) -> None:
    assert driver.refusal("ls", directory="/no/dir").text == "working directory /no/dir: not found"


def test_the_child_starts_clean(driver: Driver) -> None:
    job = driver.spawn(
        "sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; umask"
    )
    driver.ended(job)
    blocked, ignored, *lines = driver.file(job, "output").decode().split("\n")
    assert (signals(blocked), signals(ignored)) == (0, 0)
    assert lines == ["0", "1", "2", "0022", ""]


def test_arguments_and_environment_pass_unchanged(driver: Driver) -> None:
    odd = ["", " ", "a\nb", "-x", "ä€🙂", "\udcff\udc80"]
    job = driver.spawn("printf", "%s|", *odd, environment={"PATH": "/bin", "ODD": "\udcfe=1"})
    driver.ended(job)
    assert driver.file(job, "output") == "".join(f"{text}|" for text in odd).encode(
        errors="surrogateescape"
    )
    job = driver.spawn("env", environment={"ODD": "\udcfe=1"})
    driver.ended(job)
    assert driver.file(job, "output") == b"ODD=\xfe=1\n"


def test_stop_ends_the_whole_tree(driver: Driver) -> None:
    job = driver.spawn("bash", "-c", 'bash -c "bash -c \\"sleep 98702; :\\"; :"; :')
    assert isinstance(driver.stop(job), Done)
    ended = driver.ended(job)
    assert (ended["signal"], ended["cause"], ended["stopped_by"]) == (15, "stop", "the test")
    assert processes("98702") == []


def test_the_grace_period_is_the_childrens_too(driver: Driver) -> None:
    # The leader dies of SIGTERM at once; its child shuts down in order.
    slow = "exec 2>&-; trap 'sleep 0.3; echo bye; exit' TERM; echo up; while :; do sleep 0.05; done"
    job = driver.spawn("sh", "-c", f"(trap '' HUP; exec sh -c \"{slow}\") & exec sleep 98703")
    driver.wait_output(job, b"up\n")
    driver.stop(job)
    assert driver.ended(job)["signal"] == signal.SIGTERM
    assert driver.file(job, "output") == b"up\nbye\n"


def test_what_ignores_sigterm_is_killed_after_the_grace_period(driver: Driver) -> None:
    job = driver.spawn("sh", "-c", "trap '' TERM; echo up; while :; do sleep 98704; done")
    driver.wait_output(job, b"up\n")
    began = time.monotonic()
    driver.stop(job, 0.5)
    assert driver.ended(job)["signal"] == signal.SIGKILL
    assert time.monotonic() - began >= 0.5
    assert processes("98704") == []


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
    script = "trap '' TERM; sleep 98706 & exit 3"
    job = driver.spawn("bash", "-c", script)
    wait_index(driver, job, Kind.EXIT)
    assert isinstance(driver.stop(job, 0), Done)
    ended = driver.ended(job)
    assert (ended["code"], ended["cause"], ended["stopped_by"]) == (3, "own exit", None)
    assert processes("98706") == []


def test_stopping_what_is_over_says_so(driver: Driver) -> None:
    job = driver.spawn("true")
    driver.ended(job)
    answer = driver.stop(job)
    assert isinstance(answer, Refused)
    assert answer.refusal == "not found"


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


def test_asked_twice_it_is_started_once(driver: Driver) -> None:
    request = driver.request("sh", "-c", "echo once")
    driver.send(request)
    driver.send(request)
    assert driver.wait(Done, Refused) == driver.wait(Done, Refused) == Done(request.ask)
    driver.ended(request.job)
    driver.send(request)
    answer = driver.wait(Done, Refused)
    assert isinstance(answer, Refused)
    assert answer.refusal == "exists"
    assert driver.file(request.job, "output") == b"once\n"


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


def test_leave_ends_all_jobs_and_records_them(driver: Driver, keeper: Keeper) -> None:
    jobs = [driver.spawn("sleep", "98709") for _ in range(5)]
    driver.send(Leave())
    assert isinstance(refused(driver), Refused)
    ended = {message.job for message in driver.wait_closed() if isinstance(message, Ended)}
    assert ended == set(jobs)
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


def test_what_a_killed_keeper_left_is_ended_by_the_next(state: Path, tmp_path: Path) -> None:
    first = start(state, tmp_path / "first")
    job = first.driver.spawn("sh", "-c", "setsid sleep 98711 & echo up; wait")
    first.driver.wait_output(job, b"up\n")
    first.process.kill()
    first.process.wait()
    first.driver.end.close()
    second = start(state, tmp_path / "second")
    if " in cgroups below " in second.log.read_text():
        assert processes("98711") == []
    for pid in processes("98711"):
        os.kill(pid, signal.SIGKILL)
    finish(second)


def test_nonsense_on_the_socket_ends_the_link_and_the_jobs(keeper: Keeper) -> None:
    job = keeper.driver.spawn("sleep", "98712")
    keeper.driver.end.sendall(b"\xff" * 64)
    assert keeper.process.wait(PATIENCE_S) == 0
    assert json.loads(keeper.driver.file(job, "ended"))["content"]["cause"] == "shutdown"
    assert "link closed" in keeper.log.read_text()


def processes(mark: str) -> list[int]:
    """Pids of `sleep MARK`."""
    found = subprocess.run(["pgrep", "-xf", f"sleep {mark}"], capture_output=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def wait_index(driver: Driver, job: str, kind: Kind) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while kind not in [seen for seen, _, _ in driver.index(job)]:
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_path_of_tens_of_thousands_of_folders_starts_no_second_keeper(driver: Driver) -> None:
    assert "not executable" in driver.refusal("passwd", path=":" * 66000 + "/etc").text
    folders = ":".join(f"/{number}" for number in range(20000))
    assert "not found in PATH" in driver.refusal("passwd", path=f"{folders}:/etc").text
    assert driver.ended(driver.spawn("true"))["code"] == 0


def test_a_fifo_in_place_of_a_program_holds_nothing_up(driver: Driver, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o644)
    assert "not executable" in driver.refusal(str(tmp_path / "fifo")).text
    (tmp_path / "fifo").chmod(0o755)
    assert str(tmp_path / "fifo") in driver.refusal(str(tmp_path / "fifo")).text


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


def test_the_list_names_what_was_refused_of_late(driver: Driver) -> None:
    """A server that couldn't forget one must not start it."""
    asked = [driver.request("no-such") for _ in range(2)]
    for request in asked:
        driver.send(request)
        driver.wait(Refused)
    driver.spawn("true")
    driver.send(List())
    assert driver.wait(ListEnd).refused == [request.job for request in asked]


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
    job = driver.spawn("sh", "-c", "echo up; sleep 98725 & exec sleep 98725")
    driver.wait_output(job, b"up\n")
    driver.send(Signal(0, job, NO_SIGNAL, leader_only=False))
    driver.wait(Ended, job=job)
    assert processes("98725") == []
    assert not (driver.state / "jobs" / job / "ended").exists()
    assert "fault in" in keeper.log.read_text()
    keeper.log.write_text("")  # it was meant
    driver.stop(other)
    driver.ended(other)
    assert driver.ended(driver.spawn("sh", "-c", "exit 4"))["code"] == 4
    assert keeper.log.read_text() == ""
