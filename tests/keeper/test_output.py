"""Output: every byte, whose it is, and what is missing."""

import contextlib
import itertools
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper.driver import Driver, Keeper, finish, start
from worker.keeper.messages import Refused
from worker.keeper.records import INDEX_MAGIC, SIGNALED, Kind

RUNS = {Kind.RUN_STDOUT: b"o", Kind.RUN_STDERR: b"e", Kind.RUN_MERGED: b"m"}
GAPS = {Kind.GAP_STDOUT, Kind.GAP_STDERR, Kind.GAP_MERGED}
Record = tuple[Kind, int, int]


def attributed(index: list[Record], size: int) -> bytes:
    """Of each byte the stream that it came from; of several runs at one offset the last counts."""
    runs = {offset: RUNS[kind] for kind, offset, _ in index if kind in RUNS}
    edges = [*sorted(runs), size]
    return b"".join(runs[start] * (end - start) for start, end in itertools.pairwise(edges))


def test_each_byte_belongs_to_its_stream(driver: Driver) -> None:
    # A stream writes its own letters, so that the index can be held against the bytes.
    script = (
        "import os\nfor i in range(3000): os.write(1 + i % 2, b'oe'[i % 2:][:1] * (i % 700 + 1))"
    )
    job = driver.spawn("python3", "-c", script)
    ended = driver.ended(job)
    output, index = driver.file(job, "output"), driver.index(job)
    assert attributed(index, len(output)) == output
    assert (ended["stdout"], ended["stderr"]) == (output.count(b"o"), output.count(b"e"))
    assert ended["dropped"] == 0


def test_the_index_begins_with_its_version_and_holds_the_exit_once(driver: Driver) -> None:
    job = driver.spawn("sh", "-c", "echo x; kill -9 $$")
    driver.ended(job)
    index = driver.index(job)
    assert index[0] == (Kind.HEADER, 1, INDEX_MAGIC)
    # Whether the exit or the last output is seen first is chance.
    assert sorted(kind for kind, _, _ in index[1:]) == [Kind.RUN_STDOUT, Kind.EXIT]
    assert [value for kind, _, value in index if kind is Kind.EXIT] == [SIGNALED | 9]


def test_merged_output_is_in_the_order_of_the_writes(driver: Driver) -> None:
    script = "import os\nfor i in range(5000): os.write(1 + i % 2, b'%d\\n' % i)"
    job = driver.spawn("python3", "-c", script, merged=True)
    ended = driver.ended(job)
    assert driver.file(job, "output").split() == [b"%d" % number for number in range(5000)]
    assert ended["merged"] == len(driver.file(job, "output"))


def test_a_job_may_open_its_stderr_by_name(driver: Driver) -> None:
    job = driver.spawn("sh", "-c", "echo 1; echo x > /dev/stderr; echo y > /dev/stderr; echo 2")
    ended = driver.ended(job)
    assert (ended["stdout"], ended["stderr"]) == (4, 4)


def test_past_the_cap_bytes_are_dropped_counted_and_marked(driver: Driver) -> None:
    cap, size = 2**20, 3_000_000
    job = driver.spawn(
        "sh", "-c", f"head -c {size} /dev/zero; echo THE-END; exit 5", output_cap=cap
    )
    ended = driver.ended(job)
    kept = len(driver.file(job, "output"))
    assert kept + len(driver.file(job, "index")) <= cap
    assert kept > cap - 4096
    assert ended["code"] == 5
    assert ended["dropped"] == size + len("THE-END\n") - kept
    gaps = [(offset, value) for kind, offset, value in driver.index(job) if kind in GAPS]
    assert gaps == [(kept, ended["dropped"])]


@pytest.fixture
def small_disk(state: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    size = "size=2m,nr_inodes=200"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", state], check=True)
    yield state
    subprocess.run(["umount", state], check=True)


@pytest.fixture
def cramped(small_disk: Path, tmp_path: Path) -> Iterator[Keeper]:
    started = start(small_disk, tmp_path / "log")
    yield started
    finish(started)


def test_a_full_disk_drops_output_and_nothing_else(cramped: Keeper) -> None:
    driver = cramped.driver
    size = 5_000_000
    job = driver.spawn("sh", "-c", f"head -c {size} /dev/zero; exit 5")
    ended = driver.ended(job)
    kept = len(driver.file(job, "output"))
    assert ended["code"] == 5
    assert 0 < kept < size
    assert ended["dropped"] == size - kept
    lost = sum(value for kind, _, value in driver.index(job) if kind in GAPS)
    assert lost == ended["dropped"]


def test_without_room_a_start_is_refused_until_there_is_some(cramped: Keeper) -> None:
    driver = cramped.driver
    filler = cramped.driver.state / "filler"
    fill(filler)
    refused = driver.refusal("true")
    assert refused.refusal == "disk full"
    assert str(driver.state) in refused.text
    filler.unlink()
    assert driver.ended(driver.spawn("true"))["code"] == 0


def test_a_request_that_fits_in_part_is_refused_as_one_without_any_room(cramped: Keeper) -> None:
    driver = cramped.driver
    filler = driver.state / "filler"
    fill(filler)
    os.truncate(filler, filler.stat().st_size - 100_000)
    environment = {f"V{number}": "x" * 100_000 for number in range(4)}
    request = driver.request("true", environment=environment)
    driver.send(request)
    refused = driver.wait(Refused)
    assert refused.refusal == "disk full"
    path = driver.state / "jobs" / request.job / "request"
    assert refused.text == f"{path}: No space left on device"
    assert not path.parent.exists()


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_used_up_inodes_refuse_a_start_and_leave_nothing(cramped: Keeper) -> None:
    driver = cramped.driver
    fillers = [driver.state / f"filler{number}" for number in range(200)]
    with contextlib.suppress(OSError):
        for filler in fillers:
            filler.touch()
    fillers[0].unlink()
    fillers[1].unlink()  # enough for a folder and a file, not for all that a job needs
    assert driver.refusal("true").refusal == "disk full"
    for filler in fillers[2:10]:
        filler.unlink()
    assert driver.ended(driver.spawn("true"))["code"] == 0


def test_a_limit_on_file_size_is_a_full_disk(state: Path, tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    keeper = start(state, tmp_path / "log", preexec_fn=limited)
    job = keeper.driver.spawn("sh", "-c", "head -c 300000 /dev/zero; exit 5")
    ended = keeper.driver.ended(job)
    assert (ended["code"], ended["stdout"], ended["dropped"]) == (5, 100_000, 200_000)
    finish(keeper)
