"""Signals, pause and input: what an owner does with a job that runs."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.scripts import wait_for as printed
from worker import Job, Registry
from worker.errors import InvalidRequest, JobNotFound, NotNow, OutOfRange
from worker.spec import JobSpec
from worker.state import JobState


def shell(script: str, program: str = "sh", **options: Any) -> JobSpec:
    return JobSpec(program, ("-c", script), **options)


async def read(job: Job) -> bytes:
    return b"".join([chunk.data async for chunk in job.output()])


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def pids_of(job: Job, count: int) -> list[int]:
    """That it has printed."""
    seen = b""
    async with aclosing(job.output()) as chunks:
        async for chunk in chunks:
            seen += chunk.data
            if seen.count(b"\n") == count:
                break
    return [int(word) for word in seen.split()]


@pytest.mark.parametrize("name", ["SIGUSR1", "usr1", "10"])
async def test_a_signal_reaches_each_process_once(registry: Registry, name: str) -> None:
    child = "trap 'echo got; exit' USR1; echo $BASHPID; sleep 60 & wait"
    leader = "trap 'echo got' USR1; echo $$; wait $child; wait $child"
    job = await registry.submit(shell(f"({child}) & child=$!; {leader}", "bash"))
    await pids_of(job, 2)
    await job.signal(name)
    assert (await read(job)).count(b"got") == 2


async def test_the_leader_alone_can_be_meant(registry: Registry) -> None:
    job = await registry.submit(
        shell("(trap 'echo child' USR1; echo 1; sleep 1 & wait) & trap 'echo me; exit' USR1; wait")
    )
    await printed(job, b"1\n")
    await job.signal("USR1", leader_only=True)
    assert b"me\n" in await read(job)
    assert b"child" not in await read(job)


async def test_a_paused_job_stands_still_and_its_status_says_so(registry: Registry) -> None:
    job = await registry.submit(shell("echo $$; sleep 60 & echo $!; wait"))
    pids = await pids_of(job, 2)
    before = await job.status()
    await job.pause()
    paused = await job.status()
    assert (paused.paused, paused.state) == (True, JobState.RUNNING)
    assert paused.revision > before.revision
    while [state_of(pid) for pid in pids] != ["T", "T"]:  # each stops when it is next to run
        await job.status()
    await job.resume()
    assert not (await job.status()).paused
    while "T" in [state_of(pid) for pid in pids]:
        await job.status()


async def test_a_paused_job_can_be_stopped_in_order(registry: Registry) -> None:
    job = await registry.submit(
        shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done")
    )
    await printed(job, b"up")
    await job.pause()
    await job.stop()
    status = await job.wait()
    assert (status.state, status.exit_code, status.paused) == (JobState.STOPPED, 3, False)
    assert b"bye" in await read(job)


async def test_a_stop_may_be_another_signal(registry: Registry) -> None:
    job = await registry.submit(
        shell("trap 'echo int; exit 4' INT; echo up; while :; do sleep 1; done", stop_signal="INT")
    )
    await printed(job, b"up")
    await job.stop()
    assert (await job.wait()).exit_code == 4


async def test_what_has_ended_takes_no_signal_and_no_input(registry: Registry) -> None:
    job = await registry.start("true", input=True)
    await job.wait()
    for ask in (job.signal("HUP"), job.pause(), job.send_input(b"x")):
        with pytest.raises(NotNow, match="has ended"):
            await ask
    await job.remove()
    with pytest.raises(JobNotFound):
        await job.signal("HUP")


async def test_what_is_no_signal_is_refused(registry: Registry) -> None:
    job = await registry.start("sleep", "60")
    with pytest.raises(InvalidRequest, match="'NOPE' is no signal"):
        await job.signal("NOPE")


async def test_input_arrives_whole_and_its_end_too(registry: Registry) -> None:
    data = os.urandom(3_000_000)
    job = await registry.start("sha256sum", input=True)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    assert await job.send_input(pieces()) == len(data)
    assert (await read(job)).split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert (await job.wait()).exit_code == 0


async def test_input_may_come_in_several_parts(registry: Registry) -> None:
    job = await registry.start("cat", input=True)
    assert await job.send_input(b"one ", end=False) == 4
    await printed(job, b"one ")
    assert await job.send_input(b"two") == 7
    assert await read(job) == b"one two"


async def test_a_slow_reader_is_waited_for(registry: Registry) -> None:
    job = await registry.submit(shell("read -r line; sleep 0.3; wc -c", input=True))
    assert await job.send_input(b"go\n" + b"x" * 1_000_000) == 1_000_003
    assert (await read(job)).strip() == b"1000000"


async def test_who_asks_for_the_total_takes_no_senders_place(registry: Registry) -> None:
    script = "trap 'wc -c; exit' USR1; echo up; while :; do sleep 0.05; done"
    job = await registry.submit(shell(script, input=True))
    await printed(job, b"up")
    sending = asyncio.create_task(job.send_input(b"x" * 300_000))
    while await registry.take_input(job.id, 0, b"") == 0:
        continue
    await job.signal("USR1", leader_only=True)
    assert await sending == 300_000
    assert b"300000" in await read(job)


async def test_without_input_a_job_reads_an_end_at_once(registry: Registry) -> None:
    job = await registry.start("cat")
    assert (await job.wait()).exit_code == 0
    running = await registry.start("sleep", "60")
    with pytest.raises(NotNow, match="without input"):
        await running.send_input(b"x")


async def test_a_closed_stdin_takes_no_more(registry: Registry) -> None:
    job = await registry.submit(shell("exec <&-; echo closed; exec sleep 60", input=True))
    await printed(job, b"closed")
    with pytest.raises(NotNow, match="stdin is closed"):
        await job.send_input(b"x")


async def test_after_its_end_only_the_same_may_be_sent_again(registry: Registry) -> None:
    job = await registry.submit(shell("cat; exec sleep 60", input=True))
    assert await job.send_input(b"abc") == 3
    assert await registry.take_input(job.id, 0, b"abc", end=True) == 3
    with pytest.raises(NotNow, match="stdin is closed"):
        await registry.take_input(job.id, 3, b"d")


async def test_what_is_below_the_total_is_skipped_and_a_gap_refused(registry: Registry) -> None:
    job = await registry.start("cat", input=True)
    assert await registry.take_input(job.id, 0, b"abc") == 3
    assert await registry.take_input(job.id, 1, b"bcd") == 4
    assert await registry.take_input(job.id, 0, b"ab") == 4
    with pytest.raises(OutOfRange, match="beyond the 4 bytes"):
        await registry.take_input(job.id, 5, b"x")
    assert await registry.take_input(job.id, 4, b"", end=True) == 4
    assert await read(job) == b"abcd"


async def test_the_newest_sender_counts(registry: Registry) -> None:
    """The piece of one whose connection broke may still wait for a full pipe."""
    job = await registry.submit(
        shell("trap 'tail -c 1; exit' USR1; echo up; while :; do sleep 0.05; done", input=True)
    )
    await printed(job, b"up")
    first = asyncio.create_task(registry.take_input(job.id, 0, b"x" * 100_000))
    while (total := await registry.take_input(job.id, 0, b"")) == 0:
        continue
    again = asyncio.create_task(registry.take_input(job.id, total, b"y" * 10, end=True))
    with pytest.raises(NotNow, match="another sender has taken over"):
        await first
    await job.signal("USR1", leader_only=True)
    assert await again == total + 10
    assert (await read(job)).endswith(b"y")


async def test_a_question_behind_a_full_pipe_closes_nothing(registry: Registry) -> None:
    reads = "head -c 9000 > /dev/null; echo some; tail -c 3; exit"
    script = f"trap '{reads}' USR1; echo up; while :; do sleep 0.05; done"
    job = await registry.submit(shell(script, input=True))
    await printed(job, b"up")
    first = asyncio.create_task(registry.take_input(job.id, 0, b"x" * 100_000))
    while await registry.take_input(job.id, 0, b"") == 0:
        continue
    await job.signal("USR1", leader_only=True)
    await printed(job, b"some")
    assert await first == 100_000
    assert await job.send_input(b"end") == 100_003
    assert (await read(job)).endswith(b"end")


@pytest.mark.parametrize(
    "timeout", [float("nan"), "1", True, pytest.param(10**400, id="too large")]
)
async def test_a_timeout_that_is_no_number_is_refused(registry: Registry, timeout: Any) -> None:
    job = await registry.start("true")
    with pytest.raises(InvalidRequest, match="timeout must be a number"):
        await job.wait(timeout)


async def test_stdin_takes_any_bytes_and_no_text(registry: Registry) -> None:
    job = await registry.start("cat", input=True)
    with pytest.raises(TypeError, match="bytes, not str"):
        await job.send_input("text")  # type: ignore[arg-type]
    assert await job.send_input(bytearray(b"abc")) == 3  # type: ignore[arg-type]
