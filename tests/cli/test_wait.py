"""`wait`: its status, and a reader that goes away."""

import asyncio

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program
from worker.client import Client


async def test_time_that_is_up_is_124_in_any_order(connected: Program, client: Client) -> None:
    ended = await client.start("sh", "-c", "exit 4")
    running = await client.start("sleep", "98745")
    await ended.wait()
    first, second = str(ended.id), str(running.id)
    for waited in await connected.at_once(
        ["wait", "--timeout", "0.1", first, second], ["wait", "--timeout", "0.1", second, first]
    ):
        assert waited.status == ExitStatus.TIME_IS_UP
    await running.stop(grace_period=0)


async def test_a_reader_that_goes_away_ends_a_wait(connected: Program, client: Client) -> None:
    job = await client.start("sleep", "98746")
    with connected.popen("wait", "--json", str(job.id)) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert await asyncio.to_thread(process.wait, TIMEOUT) == ExitStatus.READER_GONE
    await job.stop(grace_period=0)
