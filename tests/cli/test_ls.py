"""`ls`: no change is lost between the list and what a watch goes on with; what is left out."""

import asyncio
import json
import signal
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import UUID, uuid4

from grpclib.const import Status

from cli.ls import RECENT
from cli.table import HEAD
from gen import workerservice as wire
from tests.cli.program import Program
from tests.client.scripted import Message, serving
from worker.client import Client


def status(job: UUID, state: str, revision: int) -> wire.QueryStatusResponse:
    return wire.QueryStatusResponse(
        job_id=job.bytes, command_name="ls", job_status=wire.JobStatus[state], revision=revision
    )


class Busy:
    """One job runs, and ends between two questions of one `ls`; so does another, soon after."""

    def __init__(self) -> None:
        self.first, second = uuid4(), uuid4()
        self._running = status(self.first, "RUNNING", 5)
        self._ends = [status(self.first, "EXITED", 7), status(second, "EXITED", 9)]
        self.since = 0

    async def list(self, stream: Any) -> None:
        asked = wire.ListRequest().parse(await stream.recv_message())
        has_ended = wire.JobStatus["EXITED"] in asked.states
        answer = [] if asked.labels else self._ends[1:] if has_ended else [self._running]
        await stream.send_message(Message(bytes(wire.ListResponse(answer))))

    async def watch(self, stream: Any, floor: int = 0) -> None:
        self.since = wire.WatchRequest().parse(await stream.recv_message()).since_revision
        if 0 < self.since < floor:
            await stream.send_trailing_metadata(
                status=Status.FAILED_PRECONDITION, status_message="begin with 0"
            )
            return
        for each in self._ends:
            if each.revision > self.since:
                await stream.send_message(Message(bytes(each)))


async def test_an_end_while_jobs_are_listed_is_told_by_the_watch(
    program: Program, certificates: Path
) -> None:
    busy = Busy()
    async with serving(certificates, List=busy.list, Watch=busy.watch) as config:
        program.configure(config)
        result = await program.aside("ls", "--watch", "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    states = [job["state"] for job in told if job["jobID"] == str(busy.first)]
    assert states == ["running", "exited"]


async def test_a_watch_tells_no_history_where_nothing_is_listed(
    program: Program, certificates: Path
) -> None:
    busy = Busy()
    async with serving(certificates, List=busy.list, Watch=busy.watch) as config:
        program.configure(config)
        result = await program.aside("ls", "--watch", "--label", "no=such")
    assert (busy.since, result.stdout.decode()) == (5, HEAD)


async def test_a_watch_begins_at_the_start_where_the_server_has_forgotten(
    program: Program, certificates: Path
) -> None:
    busy = Busy()

    async def forgetful(stream: Any) -> None:
        await busy.watch(stream, floor=6)

    async with serving(certificates, List=busy.list, Watch=forgetful) as config:
        program.configure(config)
        result = await program.aside("ls", "--watch", "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    states = [job["state"] for job in told if job["jobID"] == str(busy.first)]
    assert (states, busy.since) == (["running", "exited"], 0)


async def next_of(process: Popen[bytes]) -> dict[str, Any]:
    assert process.stdout
    found: dict[str, Any] = json.loads(await asyncio.to_thread(process.stdout.readline))
    return found


async def test_a_job_that_was_shown_is_shown_when_it_leaves_the_filter(
    connected: Program, client: Client
) -> None:
    value = str(uuid4())
    label = ["--label", f"w={value}"]
    job = await client.start("sleep", "98751", labels={"w": value})
    with (
        connected.popen("ls", "--watch", "--json", "--state", "running", *label) as states,
        connected.popen("ls", "--watch", "--json", *label) as labels,
    ):
        assert (await next_of(states))["jobID"] == (await next_of(labels))["jobID"] == str(job.id)
        await job.stop(grace_period=0)
        assert (await next_of(states))["state"] == (await next_of(labels))["state"] == "stopped"
        await job.remove()
        assert (await next_of(labels))["removed"] is True
        for each in (states, labels):
            each.send_signal(signal.SIGINT)


async def test_that_more_jobs_have_ended_than_are_shown_is_said(
    connected: Program, client: Client
) -> None:
    value = str(uuid4())
    label = ["--label", f"many={value}"]
    jobs = [await client.start("true", labels={"many": value}) for _ in range(RECENT + 1)]
    for job in jobs:
        await job.wait()
    few, everything = await connected.at_once(
        ["ls", "--json", *label], ["ls", "--json", "--all", *label]
    )
    assert (len(few.stdout.splitlines()), few.said) == (
        RECENT,
        f"more jobs have ended than the {RECENT} newest: --all shows them",
    )
    assert (len(everything.stdout.splitlines()), everything.stderr) == (RECENT + 1, b"")
    await jobs[0].remove()
    assert (await connected.aside("ls", "--json", *label)).stderr == b""
