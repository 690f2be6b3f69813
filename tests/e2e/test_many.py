"""What goes wrong once in a thousand times: short jobs, many ends at once, much output."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import Service, serving
from tests.e2e.test_stalled import memory_kib
from worker import Client
from worker.errors import JobNotFound
from worker.spec import OutputMode
from worker.state import Cause, JobState, Stream

pytestmark = pytest.mark.timeout(120)
AT_ONCE = 50
LONG_LINE = 200_000_000
GROWTH_KIB = 16 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("many"), certificates) as started:
        yield started


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with client_for(service) as connected:
        yield connected


async def many(count: int, one: Callable[[], Awaitable[None]]) -> None:
    """AT_ONCE of them at any moment."""
    left = iter(range(count))

    async def one_after_the_other() -> None:
        for _ in left:
            await one()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(one_after_the_other())


async def test_a_thousand_jobs_that_end_at_once_have_all_their_output(client: Client) -> None:
    async def one() -> None:
        job = await client.start("sh", "-c", "echo out; echo err >&2; exit 7")
        assert (await job.wait()).exit_code == 7
        for stream, text in ((Stream.STDOUT, b"out\n"), (Stream.STDERR, b"err\n")):
            assert b"".join([c.data async for c in job.output(stream=stream)]) == text

    await many(1000, one)


async def test_two_hundred_larger_outputs_are_complete(client: Client) -> None:
    async def one() -> None:
        job = await client.start("head", "-c", "700000", "/dev/zero")
        assert sum([len(chunk.data) async for chunk in job.output()]) == 700_000

    await many(200, one)


async def test_whoever_waits_for_a_job_that_is_stopped_and_removed_gets_its_end(
    client: Client,
) -> None:
    async def one() -> None:
        job = await client.start("sleep", "600")
        waiting = asyncio.create_task(job.wait())
        await client.status(job.id)
        await job.stop()
        await job.wait()
        await job.remove()
        try:
            assert (await waiting).signal == "SIGTERM"
        except JobNotFound as removed:
            assert "was removed" in str(removed)  # noqa: PT017 - either is right

    await many(100, one)


async def test_an_end_among_five_hundred_others_is_seen(client: Client) -> None:
    sleeper = await client.start("sh", "-c", "echo $$; exec sleep 600")
    async for line in sleeper.lines():
        pid = int(line)
        break
    done = 0

    async def one() -> None:
        nonlocal done
        done += 1
        if done == 250:
            os.kill(pid, signal.SIGKILL)
        assert (await (await client.start("date")).wait()).exit_code == 0

    await many(500, one)
    status = await sleeper.wait(timeout=2)
    assert (status.state, status.signal, status.cause) == (
        JobState.EXITED,
        "SIGKILL",
        Cause.OWN_EXIT,
    )


async def test_a_line_of_200_mb_is_exact_and_takes_no_memory(
    service: Service, client: Client
) -> None:
    before = memory_kib(service.server_pid)
    script = f"import sys; sys.stdout.write('x' * {LONG_LINE})"
    job = await client.start("python3", "-c", script)
    digest, most = hashlib.sha256(), 0
    async for chunk in job.output():
        digest.update(chunk.data)
        if chunk.offset % 2**22 < 2**16:
            most = max(most, memory_kib(service.server_pid))
    assert digest.hexdigest() == hashlib.sha256(b"x" * LONG_LINE).hexdigest()
    assert 0 < most < before + GROWTH_KIB


async def test_whoever_follows_a_silent_job_gets_all_it_ever_says(client: Client) -> None:
    script = "read go; echo o; echo e >&2; echo o2"
    for _ in range(5):
        job = await client.start("sh", "-c", script, input=True, output_mode=OutputMode.MERGED)
        following = [asyncio.create_task(text_of(job)) for _ in range(5)]
        await client.status(job.id)
        await job.send_input(b"\n")
        assert await asyncio.gather(*following) == [b"o\ne\no2\n"] * 5


async def test_what_is_redrawn_arrives_as_it_is_drawn(client: Client) -> None:
    """A step is drawn once the one before has arrived here."""
    script = "while read step; do printf '\\r%3d%%' $step; done"
    job = await client.start("sh", "-c", script, input=True)
    output = job.output()
    for step in range(0, 100, 5):
        await job.send_input(b"%d\n" % step, end=False)
        assert (await anext(output)).data == b"\r%3d%%" % step
    await job.send_input(b"")
    assert [chunk async for chunk in output] == []


async def test_whoever_follows_from_before_gets_the_last_line_of_five_hundred(
    client: Client,
) -> None:
    printed = b"".join(b"%d\n" % number for number in range(1, 51)) + b"END\n"

    async def one() -> None:
        job = await client.start("sh", "-c", "read go; seq 1 50; echo END", input=True)
        following = asyncio.create_task(text_of(job))
        await job.send_input(b"\n")
        assert await following == printed

    await many(500, one)
