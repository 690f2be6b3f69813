"""The end of the server is a non-event for its jobs; the end of the service is theirs too."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import pytest

from tests.client.scripted import client_of
from tests.e2e.foreign import Foreign, Stubs
from tests.e2e.service import PATIENCE_S, Service, serving
from worker.client import Client
from worker.errors import Unavailable
from worker.settings import Address
from worker.state import Chunk, JobStatus

pytestmark = pytest.mark.every_python


async def test_kill_9_of_the_server_loses_nothing(
    server: Service, stubs: Stubs, tmp_path: Path
) -> None:
    fifo, copy = tmp_path / "fifo", tmp_path / "copy"
    os.mkfifo(fifo)
    script = f"seq 1 100000 | tee {copy}; read line < {fifo}; seq 1 100000 | tee -a {copy}; exit 7"
    async with Foreign(server, stubs, "full") as client:
        job = await client.start("sh", "-c", script)
        other = await client.start("sh", "-c", "echo $$; exec sleep 600")
        await asyncio.to_thread(server.kill_server)
        await client.wait_ready()
        assert (await client.query(job)).JobStatus == client.messages.RUNNING
        watchers = [asyncio.create_task(client.whole_output(job)) for _ in range(8)]
        await asyncio.to_thread(fifo.write_text, "\n")
        await asyncio.to_thread(server.kill_server)
        outputs = await asyncio.gather(*watchers)
        assert set(outputs) == {copy.read_bytes()}
        status = await client.query(job)
        assert (status.JobStatus, status.exitCode) == (client.messages.EXITED, 7)
        await client.stop(other)
        await client.whole_output(other)
        status = await client.query(other)
        assert (status.JobStatus, status.exitCode) == (client.messages.STOPPED, 143)


async def test_sigterm_of_the_service_ends_streams_and_jobs_and_is_a_success(
    tmp_path: Path, certificates: Path, stubs: Stubs
) -> None:
    with serving(tmp_path, certificates) as service:
        async with Foreign(service, stubs, "full") as client:
            job = await client.start("sh", "-c", "echo on; exec sleep 600")
            stream = client.chunks(job)
            assert await anext(stream) == b"on\n"
            service.keeper.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as end:
                await anext(stream)
            assert end.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "leaving" in (end.value.details() or "")
            assert await asyncio.to_thread(service.keeper.wait, PATIENCE_S) == 0
    with serving(tmp_path, certificates) as service:
        async with Foreign(service, stubs, "readonly") as reader:
            status = await reader.query(job)
            assert (status.JobStatus, status.exitCode) == (reader.messages.STOPPED, 143)
            assert await reader.output(job) == b"on\n"
        assert await asyncio.to_thread(service.end) == 0


async def test_a_keeper_that_is_killed_while_it_ends_its_jobs_leaves_none(
    tmp_path: Path, certificates: Path, stubs: Stubs
) -> None:
    with serving(tmp_path, certificates) as service:
        async with Foreign(service, stubs, "full") as client:
            script = "trap '' TERM; echo on; while :; do sleep 600; done"
            job = await client.start("sh", "-c", script)
            stream = client.chunks(job)
            assert await anext(stream) == b"on\n"
            service.keeper.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError):
                await anext(stream)
            await asyncio.to_thread(service.kill_keeper)


async def test_sigterm_of_the_server_alone_is_as_harmless_as_kill_9(
    server: Service, stubs: Stubs
) -> None:
    async with Foreign(server, stubs, "full") as client:
        job = await client.start("sleep", "600")
        await asyncio.to_thread(server.kill_server, signal.SIGTERM)
        await client.wait_ready()
        assert (await client.query(job)).JobStatus == client.messages.RUNNING


async def test_the_keeper_killed_is_never_a_false_success(
    tmp_path: Path, certificates: Path, stubs: Stubs
) -> None:
    with serving(tmp_path, certificates) as service:
        async with Foreign(service, stubs, "full") as client:
            job = await client.start("sleep", "600")
            await asyncio.to_thread(service.kill_keeper)
    with serving(tmp_path, certificates) as service:
        async with Foreign(service, stubs, "readonly") as reader:
            status = await reader.query(job)
            assert (status.JobStatus, status.exitCode) == (reader.messages.UNKNOWN, 255)
        assert await asyncio.to_thread(service.end) == 0


async def test_the_keeper_killed_is_told_to_everybody_who_waits(
    tmp_path: Path, certificates: Path
) -> None:
    """Also to those who have still much to read."""
    are_reading, may_go_on = asyncio.Semaphore(0), asyncio.Event()

    async def read(output: AsyncIterator[Chunk]) -> None:
        async for _ in output:
            are_reading.release()
            await may_go_on.wait()

    async def all_of(states: AsyncIterator[JobStatus]) -> None:
        async for _ in states:
            are_reading.release()

    async def sentence_of(answer: Awaitable[object]) -> str:
        with pytest.raises(Unavailable) as error:
            await answer
        return str(error.value)

    with serving(tmp_path, certificates) as service:
        config = client_of(certificates, Address.parsed(service.address))
        async with Client(config, patience=0) as client, asyncio.TaskGroup() as tasks:
            job = await client.start("sh", "-c", "head -c 4000000 /dev/zero; exec sleep 600")
            answers = (job.wait(), read(job.output()), read(job.output()), all_of(client.watch()))
            sentences = [tasks.create_task(sentence_of(each)) for each in answers]
            for _ in answers[1:]:
                await are_reading.acquire()
            service.keeper.kill()
            may_go_on.set()
            for sentence in sentences:
                assert "the keeper ended, and jobs end with it" in await sentence
            await asyncio.to_thread(service.kill_keeper)
