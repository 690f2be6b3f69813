"""Several jobs on one command line: what fails for one keeps nothing from the others."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from cli.statuses import ExitStatus
from gen import workerservice as wire
from tests.cli.program import TIMEOUT, Program, fifo
from tests.client.scripted import answering, serving
from tests.e2e.service import Service
from worker.client import Client
from worker.errors import JobNotFound
from worker.spec import JobSpec
from worker.state import JobState

UNKNOWN = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
ANOTHER = "7d1e7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
RUNNING = wire.QueryStatusResponse(job_status=wire.JobStatus["RUNNING"])


async def test_a_job_is_stopped_though_one_before_it_is_unknown(
    connected: Program, client: Client
) -> None:
    job = await client.start("sleep", "98741")
    stopped = await connected.aside("stop", UNKNOWN, str(job.id), "ffffffff")
    assert stopped.status == ExitStatus.NOT_FOUND
    assert [line.split(" ")[1:3] for line in stopped.stderr.decode().splitlines()] == [
        ["no", "job"],
        ["no", "job's"],
    ]
    assert (await job.wait()).exit_code == 143


async def test_the_first_failure_gives_the_status(connected: Program, client: Client) -> None:
    running, ended = await client.start("sleep", "98742"), await client.start("true")
    await ended.wait()
    removed = await connected.aside("rm", "--json", str(running.id), str(ended.id), UNKNOWN)
    assert removed.status == ExitStatus.REFUSED
    assert len(removed.stderr.splitlines()) == 2
    assert json.loads(removed.stdout)["jobID"] == str(ended.id)
    with pytest.raises(JobNotFound):
        await ended.status()
    await running.stop(grace_period=0)


async def test_what_can_be_shown_is_shown(connected: Program, client: Client) -> None:
    job = str((await client.start("echo", "shown")).id)
    for shown in await connected.at_once(["query", UNKNOWN, job], ["logs", UNKNOWN, job]):
        assert (shown.status, f"no job has the id {UNKNOWN}" in shown.said) == (3, True)
        assert b"shown" in shown.stdout


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_what_is_known_is_shown_before_the_next_is_asked_for(
    program: Program, certificates: Path, options: list[str]
) -> None:
    answer, asked = answering(RUNNING), asyncio.Queue[None]()

    async def first_alone(stream: Any) -> None:
        asked.put_nowait(None)
        if asked.qsize() > 1:
            await asyncio.get_running_loop().create_future()
        await answer(stream)

    async with serving(certificates, QueryStatus=first_alone) as config:
        program.configure(config)
        with program.popen("query", *options, UNKNOWN, ANOTHER) as process:
            try:
                assert process.stdout
                async with asyncio.timeout(TIMEOUT):
                    assert UNKNOWN in (await asyncio.to_thread(process.stdout.readline)).decode()
            finally:
                process.kill()


async def test_what_cant_be_followed_keeps_no_output_of_others(
    connected: Program, client: Client
) -> None:
    jobs = [await client.start("printf", text) for text in ("1", "123456789")]
    for job in jobs:
        await job.wait()
    short, long = (str(job.id) for job in jobs)
    shown = await connected.aside("logs", "--offset", "5", short, long)
    assert (shown.status, shown.stdout) == (ExitStatus.REFUSED, f"{long[:8]} 6789\n".encode())


async def test_an_output_that_is_gone_from_the_disk_keeps_nothing_of_others(
    connected: Program, service: Service, client: Client
) -> None:
    cut = await client.start("echo", "hello")
    at = connected.folder / "gate"
    await cut.wait()
    os.truncate(service.folder / "state" / "jobs" / str(cut.id) / "output", 2)
    with fifo(at) as gate:
        running = str((await client.start("sh", "-c", f"read go < {at}; echo went")).id)
        with connected.popen("logs", str(cut.id), running) as process:
            assert process.stderr
            said = (await asyncio.to_thread(process.stderr.readline)).decode()
            assert "has 2 bytes of 6 on the server's disk" in said
            os.write(gate, b"\n")
            stdout, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert process.returncode == ExitStatus.FAULT
    assert f"{running[:8]} went\n".encode() in stdout


async def test_a_job_that_is_removed_is_not_looked_for_by_other_digits(
    connected: Program, client: Client
) -> None:
    started = await client.start("true")
    await started.wait()
    job = str(started.id)
    removed = await connected.aside("rm", "--json", job, job[:20], job.replace("-", ""))
    assert (removed.status, removed.stderr, len(removed.stdout.splitlines())) == (0, b"", 1)


async def test_digits_of_several_jobs_name_none_though_one_of_them_was_named(
    connected: Program, client: Client
) -> None:
    ids = [UUID(f"9{uuid4().hex[1:]}") for _ in range(2)]
    jobs = [await client.submit(JobSpec("sleep", ("98757",)), job_id=each) for each in ids]
    stopped = await connected.aside("stop", str(ids[0]), "9")
    assert (stopped.status, "the ids of several jobs begin with 9" in stopped.said) == (5, True)
    assert (await jobs[0].wait()).state is JobState.STOPPED
    assert not (await jobs[1].status()).is_final
    await jobs[1].stop()


async def test_a_job_that_is_named_twice_is_taken_once(connected: Program, client: Client) -> None:
    started = await client.start("true", labels={"n": str(uuid4())})
    await started.wait()
    job = str(started.id)
    keys = {"query": "state", "wait": "state", "stop": "jobID"}
    done = await connected.at_once(*([verb, "--json", job, job[:20], job] for verb in keys))
    for each, key in zip(done, keys.values(), strict=True):
        (line,) = each.stdout.splitlines()
        assert key in json.loads(line)
    assert (await started.status()).exit_code == 0
