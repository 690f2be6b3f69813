"""Runs inside the virtual machine, twice: before its power is cut, and when it is back.

What a client was told is final must be there, whole; what ran is LOST; nothing is run again.
"""

# ruff: noqa: T201 - it reports by printing

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from uuid import UUID

from worker import Client
from worker.client import ClientConfig
from worker.errors import Unavailable
from worker.state import JobState

CONFIG = Path("/etc/job-worker/workerclient.yaml")
EXPECTED = Path("/expected.json")
ONCE = Path("/once")
TOLD = Path("/dev/vdb")  # a disk that the host made of what the client was told
ENDED, TOLD_LATE, RUNNING = 30, 10, 3


async def before(client: Client) -> None:
    ended = {}
    for number in range(ENDED):
        script = f"echo x >> {ONCE}; seq {number * 100}; exit {number}"
        job = await client.start("sh", "-c", script)
        await job.wait()
        ended[str(job.id)] = number
    prints = f"echo x >> {ONCE}; while :; do echo more; sleep 0.01; done"
    running = [str((await client.start("sh", "-c", prints)).id) for _ in range(RUNNING)]
    keep({"ended": ended, "running": running})
    for number in range(
        ENDED, ENDED + TOLD_LATE
    ):  # told to be final, and no sync of ours after them
        job = await client.start("sh", "-c", f"seq {number * 100}; exit {number}")
        await job.wait()
        print(f"TOLD {job.id} {number}", flush=True)
    print("CUT", flush=True)
    await asyncio.Event().wait()  # until the power is gone


def keep(expected: dict[str, object]) -> None:
    with EXPECTED.open("w") as file:
        json.dump(expected, file)
        file.flush()
        os.fsync(file.fileno())
    os.sync()


async def after(client: Client, expected: dict[str, dict[str, int]]) -> None:
    for job_id, number in expected["ended"].items():
        status = await client.status(UUID(job_id))
        output = b"".join([chunk.data async for chunk in client.output(UUID(job_id))])
        known = status.state, status.exit_code, status.command
        assert known == (JobState.EXITED, number, "sh"), status
        assert output.split() == [b"%d" % each for each in range(1, number * 100 + 1)]
    for job_id in expected["running"]:
        status = await client.status(UUID(job_id))
        assert status.state is JobState.LOST, status
        print(f"   {status.reason}; {status.output.total} bytes of output")
        output = b"".join([chunk.data async for chunk in client.output(UUID(job_id))])
        assert len(output) == status.output.total
    assert (await (await client.start("sh", "-c", "exit 3")).wait()).exit_code == 3


def expected_now() -> dict[str, dict[str, int]]:
    """What was there before the cut, and what only the client's own console remembers."""
    expected: dict[str, dict[str, int]] = json.loads(EXPECTED.read_text())
    expected["ended"] |= json.loads(TOLD.read_bytes().rstrip(b"\0"))
    assert len(expected["ended"]) == ENDED + TOLD_LATE
    return expected


async def connected() -> Client:
    """Once it is up."""
    deadline = time.monotonic() + 60
    while True:
        client = Client(ClientConfig.load(CONFIG))
        try:
            return await client.__aenter__()
        except Unavailable:
            if time.monotonic() > deadline:
                raise


async def main(expected: dict[str, dict[str, int]] | None) -> None:
    client = await connected()
    try:
        await (before(client) if expected is None else after(client, expected))
    finally:
        await client.__aexit__(None, None, None)


if __name__ == "__main__":
    print("BEGIN", flush=True)
    is_back = EXPECTED.exists()
    asyncio.run(main(expected_now() if is_back else None))
    ran = len(ONCE.read_text().split())
    assert ran == ENDED + RUNNING, f"{ran} runs of {ENDED + RUNNING} commands"
    print("ok what was told is true after a power cut")
    print("DONE", flush=True)
