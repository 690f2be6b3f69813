"""`run` tells why a job didn't end by itself, and what was cut short is no success."""

import asyncio

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program
from worker.client import Client


async def test_an_output_that_nothing_takes_stops_the_job(
    connected: Program, client: Client
) -> None:
    full = await Program(connected.folder, redirected="> /dev/full").aside("run", "--", "yes")
    stopping, reason = full.stderr.decode().splitlines()
    assert (full.status, "No space left" in reason) == (ExitStatus.OURS, True)
    job = await client.find(stopping.split("stopping job ")[1].split(":")[0])
    assert (await job.wait()).exit_code == 143


def test_a_time_limit_is_told_and_the_code_is_the_jobs(connected: Program) -> None:
    ended = connected.run("run", "--timeout", "0.2", "--", "sleep", "98743")
    assert (ended.status, ended.said.endswith(": time limit 0.2 s")) == (143, True)


async def test_a_job_that_another_one_stops_is_told(connected: Program, client: Client) -> None:
    with connected.popen("run", "--show-id", "--", "sleep", "98744") as process:
        assert process.stderr is not None
        job = (await asyncio.to_thread(process.stderr.readline)).split()[-1].decode()
        await (await client.find(job)).stop()
        _, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert (process.returncode, stderr.decode()) == (
        143,
        f"workerclient: job {job}: stopped by full\n",
    )


def test_what_a_time_limit_cut_short_is_no_success(connected: Program) -> None:
    script = 'trap "exit 0" TERM; while :; do sleep 0.05; done'
    ended = connected.run("run", "--timeout", "0.2", "--", "sh", "-c", script)
    assert ended.status == ExitStatus.TIME_IS_UP


async def test_what_another_one_has_stopped_is_no_success(
    connected: Program, client: Client
) -> None:
    script = 'trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    with connected.popen("run", "--show-id", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        job = (await asyncio.to_thread(process.stderr.readline)).split()[-1].decode()
        await asyncio.to_thread(process.stdout.readline)
        await (await client.find(job)).stop()
        await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert process.returncode == ExitStatus.INTERRUPTED
