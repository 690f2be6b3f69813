"""`ls --watch`: no change is lost between the list and what follows it."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from gen import workerservice as wire
from tests.cli.program import Program
from tests.client.scripted import Message, serving


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

    async def watch(self, stream: Any) -> None:
        self.since = wire.WatchRequest().parse(await stream.recv_message()).since_revision
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
        await program.aside("ls", "--watch", "--label", "no=such")
    assert busy.since == 5
