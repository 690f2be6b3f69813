"""The end of the server is a non-event for its jobs; the end of the service is theirs too."""

import asyncio
import os
import signal
from pathlib import Path

import grpc
import pytest

from tests.e2e.foreign import Foreign, Stubs
from tests.e2e.service import PATIENCE_S, Service, serving

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
