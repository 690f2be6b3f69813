"""Where no thread can be started any more, what has its threads already goes on."""

import asyncio
import gc
import resource
import sys
import threading
from asyncio import create_subprocess_exec
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from worker import Registry
from worker.errors import NoRoom
from worker.jobs.threads import Threads
from worker.state import JobState

ROOT = Path(__file__).parents[2]
IN_A_COPY = """
import asyncio, os, sys
from worker import Registry

async def main(state):
    async with Registry(state) as registry:
        return (await (await registry.start("sh", "-c", "exit 3")).wait()).exit_code

asyncio.run(main(sys.argv[1]))
copy = os.fork()
if not copy:
    os._exit(asyncio.run(main(sys.argv[1])))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]))
"""


@contextmanager
def no_more_threads() -> Iterator[None]:
    """There is no room for another stack: to pthread_create(3) as if there were too many."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, over = resource.getrlimit(resource.RLIMIT_AS), threading.Event()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, before[1]))
    try:
        with suppress(RuntimeError):
            while True:  # stacks of others that have ended are taken first
                threading.Thread(target=over.wait).start()
        yield
    finally:
        over.set()
        resource.setrlimit(resource.RLIMIT_AS, before)


async def test_ends_tails_starts_and_removals_go_on(registry: Registry) -> None:
    jobs = [await registry.start("cat", input=True) for _ in range(8)]
    with no_more_threads():
        for job in jobs:
            await job.send_input(b"one\ntwo\n")
            assert (await job.wait()).state is JobState.EXITED
            assert [chunk.data async for chunk in job.output(tail_lines=1)] == [b"", b"two\n"]
        await jobs[0].remove()
        again = await registry.start("sh", "-c", "exit 3")
        assert (await again.wait()).exit_code == 3


async def test_what_finds_no_thread_is_no_room_and_may_be_tried_again() -> None:
    threads = Threads("test", 3)
    with no_more_threads(), pytest.raises(NoRoom, match="no thread can be started"):
        await threads.run(bool)
    assert await threads.run(int, "3") == 3
    threads.start().shutdown()


async def test_a_copy_of_the_program_starts_its_own(state: Path) -> None:
    copying = await create_subprocess_exec(sys.executable, "-c", IN_A_COPY, state, cwd=ROOT)
    assert await copying.wait() == 3


@pytest.mark.parametrize("may_hang", [False, True], ids=["awaited", "left"])
async def test_a_failure_that_nobody_waits_for_is_no_word_in_the_log(
    caplog: pytest.LogCaptureFixture, *, may_hang: bool
) -> None:
    threads, go_on = Threads("test", 1, may_hang=may_hang), threading.Event()

    def fail() -> None:
        go_on.wait()
        raise ValueError

    failing = asyncio.create_task(threads.run(fail))
    await asyncio.sleep(0)  # it waits
    failing.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await failing
    await threads.run(gc.collect)
    gc.collect()
    assert caplog.text == ""
    threads.start().shutdown()
