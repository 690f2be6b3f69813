"""Jobs without a server: two at a time in this program, one of them stopped.

python examples/library.py state
"""

import asyncio
import sys

from worker import Job, Registry


async def show(job: Job) -> None:
    async for chunk in job.output():
        print(f"{job.id}: {chunk.data.decode()}", end="")
    status = await job.wait()
    print(f"{job.id}: {status.state}, exit code {status.exit_code}")


async def main(state_directory: str) -> None:
    async with Registry(state_directory) as registry, asyncio.TaskGroup() as shown:
        counting = await registry.start("seq", "3")
        waiting = await registry.start("sleep", "600", labels={"what": "is stopped"})
        shown.create_task(show(counting))
        shown.create_task(show(waiting))
        await counting.wait()
        await waiting.stop(grace_period=1)  # SIGTERM to all its processes, SIGKILL after a second


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/library.py STATE")
    asyncio.run(main(*sys.argv[1:]))
