"""A Client and our own server: the same Job as a Registry gives."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.client.scripted import client_of
from tests.e2e.service import Service, serving
from worker.client import Client
from worker.errors import (
    Incomplete,
    InvalidRequest,
    JobExists,
    JobNotFound,
    NotListening,
    NotNow,
    OutOfRange,
    PermissionDenied,
    Unavailable,
)
from worker.job import Job
from worker.settings import Address
from worker.spec import JobSpec, OutputMode
from worker.state import Cause, JobState, Outcome, Stream

pytestmark = pytest.mark.every_python


def client_for(service: Service, name: str = "full", patience: float = 60) -> Client:
    config = client_of(service.certificates, Address.parsed(service.address), name)
    return Client(config, patience=patience)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with client_for(service) as connected:
        yield connected


async def text_of(job: Job) -> bytes:
    return b"".join([chunk.data async for chunk in job.output()])


async def test_a_job_from_its_start_to_its_end(client: Client) -> None:
    job = await client.start("sh", "-c", "echo out; echo err >&2; exit 7")
    assert sorted((await text_of(job)).split()) == [b"err", b"out"]
    status = await job.wait()
    assert (status.state, status.outcome, status.exit_code) == (
        JobState.EXITED,
        Outcome.EXITED,
        7,
    )
    assert (status.owner, status.cause) == ("full", Cause.OWN_EXIT)
    assert (status.output.stdout, status.output.stderr) == (4, 4)
    assert status == await job.status()
    times = status.created_at, status.started_at, status.leader_exited_at, status.ended_at
    assert None not in times
    assert sorted(times, key=str) == list(times)


async def test_a_removed_job_is_gone_and_says_so(client: Client) -> None:
    job = await client.submit(spec := JobSpec("echo", ("hello",)))
    await job.wait()
    await job.remove()
    with pytest.raises(JobNotFound, match=f"{job.id} was removed by full at 20"):
        await job.status()
    with pytest.raises(JobNotFound, match="removed by full"):
        await text_of(job)
    with pytest.raises(JobExists, match=r"ran as .* and was removed by full"):
        await client.submit(spec, job_id=job.id)
    with pytest.raises(JobNotFound, match="removed by full"):
        await job.remove()


async def test_a_running_job_is_not_removed(client: Client) -> None:
    job = await client.start("sleep", "600", grace_period=0)
    with pytest.raises(NotNow, match=f"{job.id} hasn't ended"):
        await job.remove()
    await job.stop()


async def test_options_are_the_other_fields_of_a_spec(client: Client) -> None:
    job = await client.start(
        "sh",
        "-c",
        "echo $A; pwd; echo e >&2",
        environment={"A": "ä"},
        working_directory="/",
        output_mode=OutputMode.MERGED,
        labels={"team": "a"},
    )
    assert await text_of(job) == "ä\n/\ne\n".encode()
    status = await job.status()
    assert (status.output.merged, status.labels) == (7, {"team": "a"})


async def test_a_job_is_stopped(client: Client) -> None:
    job = await client.start("sleep", "98701")
    await job.stop()
    status = await job.wait()
    assert (status.state, status.signal, status.exit_code) == (JobState.STOPPED, "SIGTERM", 143)
    assert status.stopped_by == "full"
    await job.stop()  # no error


async def test_a_grace_period_of_0_kills_at_once(client: Client) -> None:
    job = await client.start("sh", "-c", "trap '' TERM; echo ready; sleep 98702")
    await anext(job.output())
    await job.stop(grace_period=0)
    assert (await job.wait()).signal == "SIGKILL"


async def test_a_wait_that_runs_out_tells_the_present_status(client: Client) -> None:
    job = await client.start("sleep", "98703")
    assert (await job.wait(timeout=0)).state is JobState.RUNNING
    await job.stop(grace_period=0)


async def test_output_goes_on_from_any_offset(client: Client) -> None:
    job = await client.start("printf", "0123456789")
    await job.wait()
    chunks = [chunk async for chunk in job.output(offset=4)]
    assert (chunks[0].offset, b"".join(chunk.data for chunk in chunks)) == (4, b"456789")
    with pytest.raises(OutOfRange):
        await anext(job.output(offset=11))


async def test_output_without_following_ends_where_it_is(client: Client) -> None:
    job = await client.start("sh", "-c", "echo ready; sleep 98704")
    await anext(job.output())
    assert [chunk.data async for chunk in job.output(follow=False)] == [b"ready\n"]
    await job.stop(grace_period=0)


async def test_tagged_output_tells_its_stream(client: Client) -> None:
    job = await client.start("sh", "-c", "echo o; echo e >&2")
    streams = {chunk.stream: chunk async for chunk in job.output(tagged=True)}
    assert streams[Stream.STDOUT].data == b"o\n"
    assert streams[Stream.STDERR].data == b"e\n"
    assert all(chunk.time is not None for chunk in streams.values())


async def test_the_same_id_with_the_same_spec_is_the_same_job(
    client: Client, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    spec, job_id = JobSpec("sh", ("-c", f"echo x >> {once}")), uuid4()
    jobs = [await client.submit(spec, job_id) for _ in range(3)]
    assert {job.id for job in jobs} == {job_id}
    await jobs[0].wait()
    assert once.read_text() == "x\n"
    with pytest.raises(JobExists):
        await client.submit(JobSpec("true"), job_id)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        pytest.param("/no/such", "/no/such", id="no such file"),
        pytest.param("/etc", "directory", id="a directory"),
        pytest.param("no-such-tool", "PATH", id="not in PATH"),
        pytest.param("", "commandName is empty", id="nothing"),
        pytest.param("a\0b", "NUL", id="NUL"),
    ],
)
async def test_what_cant_be_executed_is_said(client: Client, command: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        await client.start(command)


async def test_an_unknown_job_is_not_found(client: Client) -> None:
    job = Job(UUID(int=0), client)
    for asked in (job.status, job.stop, job.wait):
        with pytest.raises(JobNotFound):
            await asked()
    with pytest.raises(JobNotFound):
        await anext(job.output())


async def test_a_role_that_isnt_enough_is_named(service: Service, client: Client) -> None:
    job = await client.start("true")
    async with client_for(service, "readonly") as reader:
        assert (await reader.wait(job.id)).exit_code == 0
        with pytest.raises(PermissionDenied, match="full"):
            await reader.start("true")
        with pytest.raises(PermissionDenied, match="full"):
            await reader.stop(job.id)
    async with client_for(service, "norole") as nobody:
        with pytest.raises(PermissionDenied, match="no role"):
            await nobody.status(job.id)


async def test_a_crash_of_the_server_interrupts_nothing(tmp_path: Path, certificates: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script = f"echo one; read x < {tmp_path}/go; echo two; exit 7"
    with serving(tmp_path, certificates) as crashing:
        async with client_for(crashing) as client:
            job = await client.start("sh", "-c", script)
            chunks = job.output()
            first = await anext(chunks)
            waiting = asyncio.create_task(job.wait())
            await asyncio.to_thread(crashing.kill_server)
            assert (await job.status()).state is JobState.RUNNING
            await asyncio.to_thread((tmp_path / "go").write_text, "\n")
            assert first.data + b"".join([chunk.data async for chunk in chunks]) == b"one\ntwo\n"
            assert (await waiting).exit_code == 7


async def test_a_server_that_leaves_ends_streams_and_waits_as_unavailable(
    tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as leaving:
        async with client_for(leaving, patience=0) as client:
            job = await client.start("sh", "-c", "echo one; sleep 98706")
            chunks = job.output()
            await anext(chunks)
            assert leaving.end() == 0
            with pytest.raises(Incomplete, match="offset 4"):
                await anext(chunks)
            with pytest.raises(NotListening, match="is workerserver running there"):
                await job.status()


async def test_who_comes_while_a_server_leaves_is_told_so(
    tmp_path: Path, certificates: Path
) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 98707; done"
    with serving(tmp_path, certificates) as leaving:
        async with client_for(leaving, patience=0) as client:
            job = await client.start("sh", "-c", script)
            chunks = job.output()
            await anext(chunks)
            leaving.keeper.send_signal(signal.SIGTERM)
            with pytest.raises(Incomplete):
                await anext(chunks)
        for _ in range(3):
            async with client_for(leaving, patience=0) as late:
                with pytest.raises(Unavailable, match="the server is leaving: try again"):
                    await late.start("true")
        assert leaving.end() == 0  # told twice, it hurries
