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
from worker import Client
from worker.client import ClientConfig


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


def next_of(process: Popen[bytes]) -> dict[str, Any]:
    assert process.stdout
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_a_job_that_was_shown_is_shown_when_it_leaves_the_filter(connected: Program) -> None:
    label = ["--label", f"w={uuid4()}"]
    job = connected.run("start", *label, "--", "sleep", "98751").stdout.decode().strip()
    with (
        connected.popen("ls", "--watch", "--json", "--state", "running", *label) as states,
        connected.popen("ls", "--watch", "--json", *label) as labels,
    ):
        assert next_of(states)["jobID"] == next_of(labels)["jobID"] == job
        connected.run("stop", "--grace", "0", job)
        assert next_of(states)["state"] == next_of(labels)["state"] == "stopped"
        connected.run("rm", job)
        assert next_of(labels)["removed"] is True
        for each in (states, labels):
            each.send_signal(signal.SIGINT)


async def all_ended(connected: Program, count: int, label: str) -> list[str]:
    async with Client(ClientConfig.load(connected.folder / "workerclient.yaml")) as client:
        jobs = [await client.start("true", labels={"many": label}) for _ in range(count)]
        for job in jobs:
            await job.wait()
    return [str(job.id) for job in jobs]


def test_that_more_jobs_have_ended_than_are_shown_is_said(connected: Program) -> None:
    value = str(uuid4())
    jobs, label = asyncio.run(all_ended(connected, RECENT + 1, value)), ["--label", f"many={value}"]
    few = connected.run("ls", "--json", *label)
    assert (len(few.stdout.splitlines()), few.said) == (
        RECENT,
        f"more jobs have ended than the {RECENT} newest: --all shows them",
    )
    everything = connected.run("ls", "--json", "--all", *label)
    assert (len(everything.stdout.splitlines()), everything.stderr) == (RECENT + 1, b"")
    connected.run("rm", jobs[0])
    assert connected.run("ls", "--json", *label).stderr == b""
