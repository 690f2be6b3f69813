"""The end of a Registry: jobs are ended, recorded and known to the next."""

import asyncio
import itertools
import os
import signal
import types
from asyncio import TaskGroup
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from tests.jobs.conftest import children
from tests.jobs.scripts import IGNORES_TERM, read, shell, wait_for
from worker import Registry
from worker.errors import StateInUse, Unavailable
from worker.state import Cause, JobState, JobStatus


async def test_the_next_registry_knows_the_history(state: Path) -> None:
    async with Registry(state) as registry:
        ended = await shell(registry, "echo hello; exit 3")
        statuses = [await ended.wait()]
        running = await registry.start("sleep", "987")
    async with Registry(state) as registry:
        assert [await registry.status(ended.id)] == statuses
        assert await read(registry.output(ended.id)) == b"hello\n"
        stopped = await registry.status(running.id)
    assert (stopped.state, stopped.cause) == (JobState.STOPPED, Cause.SHUTDOWN)
    assert stopped.signal == "SIGTERM"


async def test_closing_wakes_who_waits_with_the_end(state: Path) -> None:
    async with TaskGroup() as group, Registry(state) as registry:
        job = await shell(registry, "echo ready; exec sleep 987")
        waiting = group.create_task(job.wait())
        reading = group.create_task(read(job.output()))
        await wait_for(job, b"ready")
    assert waiting.result().state is JobState.STOPPED
    assert reading.result() == b"ready\n"


async def test_closing_tells_watchers_the_ends_and_that_it_is_closed(state: Path) -> None:
    told: dict[UUID, JobState] = {}

    async def watch(registry: Registry) -> None:
        async for status in registry.watch():
            told[status.id] = status.state

    async with TaskGroup() as group:
        async with Registry(state) as registry:
            watching = group.create_task(unavailable(watch(registry)))
            jobs = [await registry.start("sleep", "987") for _ in range(3)]
        assert "closed" in await watching
    assert told == {job.id: JobState.STOPPED for job in jobs}


async def unavailable(answer: Coroutine[None, None, None]) -> str:
    with pytest.raises(Unavailable) as failure:
        await answer
    return str(failure.value)


async def test_a_closed_registry_says_so(state: Path) -> None:
    async with Registry(state) as registry:
        job = await registry.start("true")
    for ask in (job.status(), job.wait(), job.stop(), registry.start("true")):
        with pytest.raises(Unavailable, match="not open"):
            await ask


async def test_an_error_in_the_block_comes_out_as_it_is(state: Path) -> None:
    async def program() -> None:
        async with Registry(state) as registry:
            await registry.start("sleep", "987")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await program()


async def test_a_cancelled_block_ends_its_jobs_and_records_them(state: Path) -> None:
    started: asyncio.Future[UUID] = asyncio.get_running_loop().create_future()

    async def program() -> None:
        async with Registry(state) as registry:
            started.set_result((await registry.start("sleep", "987")).id)
            await asyncio.Event().wait()

    async with TaskGroup() as group:
        task = group.create_task(program())
        job_id = await started
        task.cancel()
    assert task.cancelled()
    async with Registry(state) as registry:
        assert (await registry.status(job_id)).cause is Cause.SHUTDOWN


async def test_cancelled_again_it_kills_and_still_records(state: Path) -> None:
    registry = Registry(state)
    closing = asyncio.Event()

    async def program() -> UUID:
        async with registry:
            job = await shell(registry, IGNORES_TERM)
            await wait_for(job, b"ready")
            closing.set()
        return job.id

    async with TaskGroup() as group:
        task = group.create_task(program())
        await closing.wait()
        await registry.wait_leaving()
        task.cancel()
    assert task.cancelled()
    async with Registry(state) as after:
        [folder] = (state / "jobs").iterdir()
        status = await after.status(UUID(folder.name))
    assert (status.state, status.cause) == (JobState.STOPPED, Cause.SHUTDOWN)
    assert status.signal == "SIGKILL"


@pytest.mark.usefixtures("registry")
async def test_a_directory_in_use_is_refused_at_once(state: Path) -> None:
    with pytest.raises(StateInUse, match=str(os.getpid())):
        await Registry(state).__aenter__()


def reap_all(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(reap_all, id="a handler that reaps all"),
        pytest.param(signal.SIG_IGN, id="the kernel, as SIGCHLD is ignored"),
    ],
)
async def test_another_reaper_in_the_program_is_tolerated(
    state: Path, handler: Callable[..., None] | signal.Handlers
) -> None:
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        for _ in range(3):
            async with Registry(state) as registry:
                assert (await (await shell(registry, "exit 7")).wait()).exit_code == 7
    finally:
        signal.signal(signal.SIGCHLD, before)


@types.coroutine
def cancelled_at(
    step: int, coroutine: Coroutine[object, None, None]
) -> Generator[object, None, bool]:
    """Run `coroutine`, cancelled the `step`-th time that it waits; was it over before?"""
    for number in itertools.count():
        try:
            waits_for = coroutine.send(None)
            if number == step:
                waits_for = coroutine.throw(asyncio.CancelledError())
        except asyncio.CancelledError:
            return False
        except StopIteration:
            return number <= step
        yield waits_for
    raise AssertionError


async def test_cancelled_at_any_step_nothing_is_left(state: Path) -> None:
    async def program() -> None:
        async with Registry(state) as registry:
            job = await registry.start("sleep", "987")
            await job.stop()
            await job.wait()

    for step in itertools.count():
        is_over = await cancelled_at(step, program())
        assert children() == set()
        if is_over:
            break
    async with Registry(state) as registry:
        assert all(status.is_final for status in await statuses(registry, state))


async def statuses(registry: Registry, state: Path) -> list[JobStatus]:
    return [await registry.status(UUID(name)) for name in os.listdir(state / "jobs")]  # noqa: PTH208 - names
