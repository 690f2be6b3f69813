"""A client generated from the original contract works unchanged."""

import asyncio
import hashlib
import os
from pathlib import Path

import grpc
import pytest

from tests.e2e.foreign import Foreign, Stubs
from tests.e2e.service import Service


async def test_a_job_is_started_watched_and_queried(foreign: Foreign) -> None:
    job = await foreign.start("sh", "-c", "echo out; echo err >&2; exit 7")
    assert len(job) == 16
    output = await foreign.output(job)
    assert sorted(output.splitlines()) == [b"err", b"out"]
    status = await foreign.query(job)
    assert (status.commandName, list(status.arguments)) == (
        "sh",
        ["-c", "echo out; echo err >&2; exit 7"],
    )
    assert (status.JobStatus, status.exitCode) == (foreign.messages.EXITED, 7)


async def test_a_job_is_stopped_within_the_second_that_an_original_client_gives_it(
    foreign: Foreign,
) -> None:
    job = await foreign.start(
        "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 1; done"
    )
    stream = foreign.chunks(job)
    assert await anext(stream) == b"ready\n"
    assert (await foreign.query(job)).JobStatus == foreign.messages.RUNNING
    await foreign.stop(job, timeout=1)
    assert all([chunk async for chunk in stream])  # until it has ended
    status = await foreign.query(job)
    assert (status.JobStatus, status.exitCode) == (foreign.messages.STOPPED, 3)
    await foreign.stop(job, timeout=1)  # no error


@pytest.mark.parametrize(
    ("command", "size"),
    [
        pytest.param(["seq", "1", "200000"], None, id="seq 1 200000"),
        pytest.param(["head", "-c", "30000000", "/dev/urandom"], 30_000_000, id="30 MB of noise"),
    ],
)
async def test_eight_watchers_and_a_late_one_get_every_byte(
    foreign: Foreign, command: list[str], size: int | None, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    job = await foreign.start("sh", "-c", '"$@" | tee "$0"', str(copy), *command)
    outputs = await asyncio.gather(*(foreign.output(job) for _ in range(8)))
    outputs.append(await foreign.output(job))
    expected = copy.read_bytes()
    assert len(expected) == (size or len(expected)) > 0
    assert {hashlib.sha256(each).digest() for each in outputs} == {
        hashlib.sha256(expected).digest()
    }


async def test_output_is_live(foreign: Foreign, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    job = await foreign.start("sh", "-c", f"echo one; read line < {fifo}; echo two")
    stream = foreign.chunks(job)
    assert await anext(stream) == b"one\n"  # while the job waits for us
    await asyncio.to_thread(fifo.write_text, "\n")
    assert await anext(stream) == b"two\n"


@pytest.mark.parametrize(
    ("certificate", "code", "detail"),
    [
        pytest.param(None, grpc.StatusCode.UNAUTHENTICATED, "certificate", id="none"),
        pytest.param("norole", grpc.StatusCode.PERMISSION_DENIED, "has no role", id="no role"),
        pytest.param("readonly", grpc.StatusCode.PERMISSION_DENIED, "needs the role full", id="ro"),
    ],
)
async def test_a_start_without_the_right_is_refused(
    shared: Service, stubs: Stubs, certificate: str | None, code: grpc.StatusCode, detail: str
) -> None:
    async with Foreign(shared, stubs, certificate) as client:
        with pytest.raises(grpc.aio.AioRpcError, match=detail) as refusal:
            await client.start("true")
        assert refusal.value.code() == code


async def test_fifty_connections_without_a_certificate_are_all_told_so(
    shared: Service, stubs: Stubs
) -> None:
    for _ in range(50):
        async with Foreign(shared, stubs, None) as client:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await client.start("x" * 60_000)
            assert refusal.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_readonly_may_query_and_watch(
    shared: Service, stubs: Stubs, foreign: Foreign
) -> None:
    job = await foreign.start("echo", "seen")
    async with Foreign(shared, stubs, "readonly") as reader:
        assert await reader.output(job) == b"seen\n"
        assert (await reader.query(job)).JobStatus == foreign.messages.EXITED
