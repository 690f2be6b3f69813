"""Whatever the machine refuses, jobs start and end: each way is the real one."""

import ctypes
import os
import shlex
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.keeper.driver import Keeper, finish, signals, start

SYS_CLONE3 = 435
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
FILTER = 2


def no_clone3() -> None:
    """What a container's seccomp profile does: clone3 answers ENOSYS. Source: seccomp(2), bpf."""
    program = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 0),  # load the number of the system call
            (0x15, 0, 1, SYS_CLONE3),
            (0x06, 0, 0, 0x0005_0000 | 38),  # ENOSYS
            (0x06, 0, 0, 0x7FFF_0000),  # allowed
        )
    )
    code = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", 4, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, FILTER, head, 0, 0) == 0


def without_cgroups() -> list[str]:
    """A mount namespace in which no cgroup v2 is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mounts = [line.split()[4] for line in lines if " - cgroup2 " in line]
    away = "; ".join(f"umount -l {shlex.quote(mount)}" for mount in mounts)
    return ["unshare", "--mount", "sh", "-c", f'{away}; exec "$@"', "sh"]


WAYS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "clone3": (dict, "jobs start by clone3"),
    "fork where clone3 is refused": (lambda: {"preexec_fn": no_clone3}, "jobs start by fork"),
    "sessions where there is no cgroup": (
        lambda: {"before": without_cgroups()},
        "by clone3, without cgroups",
    ),
    "fork and sessions": (
        lambda: {"preexec_fn": no_clone3, "before": without_cgroups()},
        "by fork, without cgroups",
    ),
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def keeper(request: pytest.FixtureRequest, state: Path, tmp_path: Path) -> Iterator[Keeper]:
    options, said = request.param
    if "before" in options() and os.geteuid() != 0:
        pytest.skip("a mount namespace needs root")
    started = start(state, tmp_path / "log", **options())
    assert said in started.log.read_text()
    yield started
    finish(started)


def test_a_job_runs_and_its_exit_is_exact(keeper: Keeper) -> None:
    job = keeper.driver.spawn("sh", "-c", "echo out; exit 3")
    assert keeper.driver.ended(job)["code"] == 3
    assert keeper.driver.file(job, "output") == b"out\n"


def test_the_tree_is_ended_on_stop(keeper: Keeper) -> None:
    job = keeper.driver.spawn("sh", "-c", "trap '' TERM; sleep 98713 & echo up; wait; wait")
    keeper.driver.wait_output(job, b"up\n")
    keeper.driver.stop(job, 0.2)
    assert keeper.driver.ended(job)["signal"] == signal.SIGKILL
    assert not list(named("sleep", "98713"))


def test_the_tree_is_ended_at_the_leaders_exit(keeper: Keeper) -> None:
    job = keeper.driver.spawn("sh", "-c", "sleep 98714 & exit 4")
    assert keeper.driver.ended(job)["code"] == 4
    assert not list(named("sleep", "98714"))


def test_what_can_not_be_executed_is_refused(keeper: Keeper) -> None:
    assert keeper.driver.refusal("/no/such").text == "/no/such: not found"


def test_a_child_starts_clean(keeper: Keeper) -> None:
    script = "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd"
    job = keeper.driver.spawn("sh", "-c", script)
    keeper.driver.ended(job)
    blocked, ignored, _, *files = keeper.driver.file(job, "output").decode().split("\n")
    assert (signals(blocked), signals(ignored)) == (0, 0)
    assert files == ["0", "1", "2", "3", ""]


def named(*argv: str) -> Iterator[int]:
    """Pids of exactly this command line."""
    wanted = "\0".join(argv).encode() + b"\0"
    for path in Path("/proc").glob("[1-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                yield int(path.parent.name)
        except OSError:
            continue
