"""Signals and input through a server, over whatever breaks."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import Service, serving
from tests.jobs.scripts import wait_for
from worker.errors import Incomplete, InvalidRequest, JobNotFound, NotNow, PermissionDenied

pytestmark = pytest.mark.every_python
DATA = os.urandom(8_000_000)
PIPE = 65536


async def test_pause_and_resume_show_in_the_status(service: Service) -> None:
    async with client_for(service) as client:
        job = await client.start("sleep", "60")
        await job.pause()
        assert (await job.status()).paused
        await job.resume()
        assert not (await job.status()).paused
        await job.signal("KILL")
        assert (await job.wait()).signal == "SIGKILL"
        with pytest.raises(NotNow, match="has ended"):
            await job.signal("HUP")
        with pytest.raises(NotNow, match="has ended"):
            await job.send_input(b"x")


async def test_who_only_reads_sends_neither_signals_nor_input(service: Service) -> None:
    async with client_for(service) as full, client_for(service, "readonly") as reader:
        job = await full.start("cat", input=True)
        with pytest.raises(PermissionDenied, match="Signal needs the role full"):
            await reader.signal(job.id, "HUP")
        with pytest.raises(PermissionDenied, match="SendInput needs the role full"):
            await reader.send_input(job.id, pieces(1000))
        with pytest.raises(InvalidRequest, match="is no signal"):
            await job.signal("NOPE")
        await job.stop()
        await job.wait()
        await job.remove()
        with pytest.raises(JobNotFound):
            await job.send_input(b"x")


async def pieces(size: int, gate: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """DATA; in the middle it waits for the gate."""
    for start in range(0, len(DATA), size):
        if gate and start >= len(DATA) // 2:
            await gate.wait()
        yield DATA[start : start + size]


async def test_input_arrives_exactly(service: Service) -> None:
    async with client_for(service) as client:
        job = await client.start("sha256sum", input=True)
        assert await job.send_input(pieces(1_000_000)) == len(DATA)
        assert (await text_of(job)).split()[0].decode() == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(5, "Input/output error"), id="a disk's"),
        pytest.param(ConnectionResetError("by the source"), id="of another connection"),
        pytest.param(Incomplete("the output broke off"), id="of another job's output"),
    ],
)
async def test_an_error_of_the_source_comes_out_as_it_is_and_ends_no_input(
    service: Service, error: Exception
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"first half"
        raise error

    async with client_for(service) as client:
        job = await client.start("cat", input=True)
        with pytest.raises(type(error)) as raised:
            await job.send_input(broken())
        assert raised.value is error
        await job.send_input(b", and the rest")
        assert await text_of(job) == b"first half, and the rest"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGHUP, id="replaced, with its keeper's code"),
    ],
)
async def test_input_goes_on_where_the_server_was(
    tmp_path: Path, certificates: Path, how: signal.Signals
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("sha256sum", input=True)
            gate = asyncio.Event()
            sending = asyncio.create_task(job.send_input(pieces(100_000, gate)))
            await asyncio.sleep(0)
            if how is signal.SIGHUP:
                service.keeper.send_signal(how)
                assert (await asyncio.to_thread(service.line)).startswith("listening on ")
            else:
                await asyncio.to_thread(service.kill_server)
            gate.set()
            assert await sending == len(DATA)
            assert (await text_of(job)).split()[0].decode() == hashlib.sha256(DATA).hexdigest()


async def test_a_server_that_was_killed_while_a_pipe_was_full_leaves_the_next_one_nothing(
    tmp_path: Path, certificates: Path
) -> None:
    script = "trap 'wc -c; exit' USR1; echo up; while :; do sleep 0.05; done"
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("sh", "-c", script, input=True)
            await wait_for(job, b"up")
            sending = asyncio.create_task(job.send_input(DATA[:300_000]))
            while await job.send_input(b"", end=False) < PIPE:  # only a question
                continue
            await asyncio.to_thread(service.kill_server)
            pid = service.server_pid
            await job.signal("USR1", leader_only=True)
            assert await sending == 300_000
            assert (await text_of(job)).split() == [b"up", b"300000"]
            assert service.server_pid == pid


async def test_a_job_that_closes_its_stdin_ends_the_sending(service: Service) -> None:
    """Wherever the sender is by then; what is in the pipe was accepted."""
    async with client_for(service) as client:
        for script in (
            "exec <&-; exec sleep 60",
            "head -c 200000 | wc -c; exec <&-; exec sleep 60",
        ):
            job = await client.start("sh", "-c", script, input=True)
            with pytest.raises(NotNow, match="stdin is closed"):
                await job.send_input(pieces(1_000_000))
            await job.stop()
