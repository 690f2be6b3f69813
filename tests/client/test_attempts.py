"""Which failures are tried again, how often, and what is then delivered."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from grpclib.const import Status

from gen import workerservice as wire
from tests.client.scripted import Message, answering, client_of, serving
from worker.client import Client, client, resume
from worker.client.channel import PinnedChannel
from worker.errors import (
    ConnectionLost,
    Incomplete,
    InternalError,
    JobError,
    JobNotFound,
    NoAnswer,
    NoRoom,
    NotBuilt,
    NotListening,
    OutOfRange,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from worker.settings import Address
from worker.spec import JobSpec
from worker.state import Chunk, Stream

pytestmark = pytest.mark.every_python

Step = Callable[[Any], Awaitable[None]]
Act = list[Step]

END = wire.GetOutputResponse(end=wire.OutputEnd(0))


def output(data: bytes, offset: int, skipped: int = 0) -> wire.GetOutputResponse:
    return wire.GetOutputResponse(output=data, offset=offset, skipped=skipped)


async def cut(stream: Any) -> None:
    stream._stream._transport.abort()


def refusing(status: Status) -> Step:
    async def step(stream: Any) -> None:
        await stream.send_trailing_metadata(status=status, status_message="no")

    return step


def sending(*answers: Any) -> Step:
    async def step(stream: Any) -> None:
        for answer in answers:
            await stream.send_message(Message(bytes(answer)))

    return step


class Play:
    """Each call is answered by the next list of steps, the last one again and again."""

    def __init__(self, request: type[Any], *acts: Act) -> None:
        self._request = request
        self._acts = acts
        self.asked: list[Any] = []

    async def __call__(self, stream: Any) -> None:
        act = self._acts[min(len(self.asked), len(self._acts) - 1)]
        self.asked.append(self._request().parse(await stream.recv_message()))
        for step in act:
            await step(stream)


async def collect(chunks: AsyncIterator[Chunk], into: list[Chunk]) -> None:
    async for chunk in chunks:
        into.append(chunk)  # noqa: PERF401 - what came before an error counts


@pytest.mark.parametrize("break_off", [cut, refusing(Status.UNAVAILABLE)], ids=["cut", "leaving"])
async def test_output_goes_on_from_the_offset_that_was_reached(
    certificates: Path, break_off: Step
) -> None:
    play = Play(
        wire.GetOutputRequest,
        [sending(output(b"0123", 3)), break_off],
        [break_off],
        [sending(output(b"4567", 7), END)],
    )
    job_id, seen = uuid4(), list[Chunk]()
    async with serving(certificates, GetOutput=play) as config, Client(config) as jobs:
        await collect(jobs.output(job_id, offset=3, follow=False, tagged=True), seen)
    assert [chunk.data for chunk in seen] == [b"0123", b"4567"]
    asked = wire.GetOutputRequest(job_id=job_id.bytes, offset=7, no_follow=True, tagged=True)
    assert play.asked[1:] == [asked, asked]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        pytest.param(output(b"", 2, 7), output(b"", 2, 7), [(b"", 7)], id="at the end"),
        pytest.param(output(b"", 2, 7), output(b"c", 2, 9), [(b"", 7), (b"c", 2)], id="it grew"),
        pytest.param(output(b"b", 2, 7), output(b"c", 3, 1), [(b"b", 7), (b"c", 1)], id="another"),
    ],
)
async def test_what_was_dropped_is_told_once(
    certificates: Path,
    first: wire.GetOutputResponse,
    second: wire.GetOutputResponse,
    told: list[tuple[bytes, int]],
) -> None:
    play = Play(wire.GetOutputRequest, [sending(first), cut], [sending(second, END)])
    seen: list[Chunk] = []
    async with serving(certificates, GetOutput=play) as config, Client(config) as jobs:
        await collect(jobs.output(uuid4(), offset=2), seen)
    assert [(chunk.data, chunk.skipped) for chunk in seen] == told


async def test_what_was_dropped_before_other_streams_is_not_taken_off(certificates: Path) -> None:
    play = Play(
        wire.GetOutputRequest,
        [sending(output(b"", 100, 5), output(b"", 200)), cut],
        [sending(output(b"x", 200, 7), END)],
    )
    seen: list[Chunk] = []
    async with serving(certificates, GetOutput=play) as config, Client(config) as jobs:
        await collect(jobs.output(uuid4(), stream=Stream.STDOUT), seen)
    assert [(chunk.data, chunk.skipped) for chunk in seen] == [(b"", 5), (b"x", 7)]


async def test_a_server_that_begins_again_is_not_believed(certificates: Path) -> None:
    """As the original one, which knows no offsets."""
    play = Play(wire.GetOutputRequest, [sending(output(b"half", 0)), cut])
    seen: list[Chunk] = []
    async with serving(certificates, GetOutput=play) as config, Client(config) as jobs:
        with pytest.raises(Incomplete, match=r"offset 4.*can't resume"):
            await collect(jobs.output(uuid4()), seen)
    assert [chunk.data for chunk in seen] == [b"half"]
    assert len(play.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.PERMISSION_DENIED, PermissionDenied),
        (Status.UNAUTHENTICATED, Unauthenticated),
        (Status.NOT_FOUND, JobNotFound),
        (Status.OUT_OF_RANGE, OutOfRange),
        (Status.UNIMPLEMENTED, NotBuilt),
        (Status.RESOURCE_EXHAUSTED, NoRoom),
        (Status.INTERNAL, InternalError),
    ],
    ids=lambda each: each.name if isinstance(each, Status) else "",
)
async def test_what_cant_get_better_ends_at_once(
    certificates: Path, status: Status, kind: type[JobError]
) -> None:
    scripts: dict[str, Any] = {
        "GetOutput": Play(wire.GetOutputRequest, [refusing(status)]),
        "Wait": Play(wire.WaitRequest, [refusing(status)]),
        "QueryStatus": Play(wire.QueryStatusRequest, [refusing(status)]),
        "Start": Play(wire.StartRequest, [refusing(status)]),
        "Stop": Play(wire.StopRequest, [refusing(status)]),
    }
    async with serving(certificates, **scripts) as config, Client(config) as jobs:
        job = uuid4()
        for asked in (
            collect(jobs.output(job), []),
            jobs.wait(job),
            jobs.status(job),
            jobs.start("ls"),
            jobs.stop(job),
        ):
            with pytest.raises(kind, match=r"^no$"):
                await asked
    assert [len(play.asked) for play in scripts.values()] == [1] * 5


async def test_an_output_without_its_end_message_is_asked_for_once(certificates: Path) -> None:
    play = Play(wire.GetOutputRequest, [sending(output(b"half", 0))])
    async with serving(certificates, GetOutput=play) as config, Client(config) as jobs:
        with pytest.raises(Incomplete, match="no end message"):
            await collect(jobs.output(uuid4()), [])
    assert len(play.asked) == 1


async def part_of_a_message(stream: Any) -> None:
    await stream.send_initial_metadata()
    await stream._stream.send_data(b"\0\0\0\0\x09half")


async def end_of_data(stream: Any) -> None:
    """Without the headers that bear the status."""
    await stream.send_initial_metadata()
    await stream._stream.send_data(b"\0\0\0\0\0", end_stream=True)
    await cut(stream)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param([part_of_a_message], id="in the middle of a message"),
        pytest.param([part_of_a_message, cut], id="by a cut in the middle of a message"),
        pytest.param([], id="OK without a message"),
        pytest.param([refusing(Status.OK)], id="OK and nothing else"),
        pytest.param([end_of_data], id="without a status"),
    ],
)
async def test_an_answer_that_is_cut_short_is_a_lost_connection(
    certificates: Path, act: Act
) -> None:
    play = Play(wire.QueryStatusRequest, act)
    async with (
        serving(certificates, QueryStatus=play) as config,
        Client(config, patience=0) as jobs,
    ):
        with pytest.raises(ConnectionLost, match=r"^the connection broke.*: try again$"):
            await jobs.status(uuid4())


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        pytest.param([part_of_a_message], ConnectionLost, id="in the middle of a message"),
        pytest.param([], Incomplete, id="OK without a message"),
        pytest.param([end_of_data], ConnectionLost, id="without a status"),
    ],
)
async def test_an_output_that_is_cut_short_is_incomplete(
    certificates: Path, act: Act, kind: type[Unavailable]
) -> None:
    play = Play(wire.GetOutputRequest, act)
    async with (
        serving(certificates, GetOutput=play) as config,
        Client(config, patience=0) as jobs,
    ):
        with pytest.raises(Incomplete) as error:
            await collect(jobs.output(uuid4()), [])
    assert isinstance(error.value.__cause__, kind) or kind is Incomplete


async def test_a_start_that_may_have_been_started_is_asked_again_with_its_id(
    certificates: Path,
) -> None:
    start = Play(wire.StartRequest, [cut], [cut], [])
    wait = Play(
        wire.WaitRequest, [refusing(Status.NOT_FOUND)], [sending(wire.QueryStatusResponse())]
    )

    async def started(stream: Any) -> None:
        await start(stream)
        if len(start.asked) == 3:
            await sending(wire.StartResponse(job_id=start.asked[-1].job_id))(stream)

    async with serving(certificates, Start=started, Wait=wait) as config, Client(config) as jobs:
        job = await jobs.start("ls", "-la")
    assert start.asked[0] == start.asked[1] == start.asked[2]
    assert {asked.job_id for asked in (*start.asked, *wait.asked)} == {job.id.bytes}


async def test_a_server_that_knows_no_ids_of_ours_is_asked_once(certificates: Path) -> None:
    """As the original one: a second request would start a second job."""
    start = Play(wire.StartRequest, [cut])
    async with serving(certificates, Start=start) as config, Client(config) as jobs:
        with pytest.raises(NotBuilt, match="whether it runs"):
            await jobs.start("ls")
    assert len(start.asked) == 1


async def test_a_start_that_gives_up_names_the_job_it_may_have_started(
    certificates: Path,
) -> None:
    start = Play(wire.StartRequest, [cut])
    wait = Play(wire.WaitRequest, [refusing(Status.NOT_FOUND)])
    job_id = UUID(int=5)
    async with (
        serving(certificates, Start=start, Wait=wait) as config,
        Client(config, patience=0.3) as jobs,
    ):
        with pytest.raises(ConnectionLost, match=f"job {job_id} may have been started"):
            await jobs.submit(JobSpec("ls"), job_id)
    assert 1 < len(start.asked) < 8


async def test_a_start_that_was_never_asked_for_says_nothing_of_the_kind(
    certificates: Path,
) -> None:
    async with serving(certificates, Stop=Play(wire.StopRequest, [cut])) as config:
        jobs = await Client(config, patience=0).__aenter__()
        with pytest.raises(Unavailable):
            await jobs.stop(uuid4())
    with pytest.raises(NotListening) as error:
        await jobs.start("ls")
    assert "may have been started" not in str(error.value)
    await jobs.__aexit__(None, None, None)


async def test_a_wait_with_a_time_out_is_not_tried_beyond_it(certificates: Path) -> None:
    play = Play(wire.WaitRequest, [cut])
    async with serving(certificates, Wait=play) as config, Client(config) as jobs:
        with pytest.raises(ConnectionLost):
            await jobs.wait(uuid4(), timeout=0)
        assert len(play.asked) == 1
        with pytest.raises(ConnectionLost, match=r"tried again for 0\.3 s"):
            await jobs.wait(uuid4(), timeout=0.3)


async def test_a_wait_that_isnt_answered_ends_soon_after_its_time_out(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_stream: Any) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(client, "ANSWER_TIME", 0.2)
    play = Play(wire.WaitRequest, [never])
    async with serving(certificates, Wait=play) as config, Client(config) as jobs:
        with pytest.raises(NoAnswer):
            await jobs.wait(uuid4(), timeout=0.1)


@pytest.mark.parametrize(
    ("held", "ending"),
    [
        pytest.param(0.1, nullcontext(), id="held"),
        pytest.param(60, pytest.raises(Incomplete), id="cut too soon"),
    ],
)
async def test_a_connection_that_held_is_progress(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, held: float, ending: Any
) -> None:
    """Or a silent job could be followed through so many restarts, and no more."""

    async def hold(stream: Any) -> None:
        await asyncio.sleep(0.2)
        await cut(stream)

    monkeypatch.setattr(resume, "HELD", held)
    play = Play(wire.GetOutputRequest, *[Act([hold])] * 6, [sending(END)])
    async with (
        serving(certificates, GetOutput=play) as config,
        Client(config, patience=0.5) as jobs,
    ):
        with ending:
            await collect(jobs.output(uuid4()), [])


async def test_a_longer_failure_is_logged_once(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resume, "QUIET", 0.1)
    play = Play(wire.QueryStatusRequest, [cut])
    caplog.set_level(logging.WARNING, logger="worker.client")
    async with (
        serving(certificates, QueryStatus=play) as config,
        Client(config, patience=1) as jobs,
    ):
        with pytest.raises(ConnectionLost):
            await jobs.status(uuid4())
    assert [record.getMessage() for record in caplog.records] == [
        "the connection broke; trying again for 1 s"
    ]


async def test_what_the_server_said_before_it_was_gone_is_told_to_the_end(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resume, "QUIET", 0.1)
    play = Play(wire.QueryStatusRequest, [refusing(Status.UNAVAILABLE)], [cut])
    caplog.set_level(logging.WARNING, logger="worker.client")
    async with (
        serving(certificates, QueryStatus=play) as config,
        Client(config, patience=1) as jobs,
    ):
        with pytest.raises(ConnectionLost, match=r"\(tried again for 1 s; at first: no\)$"):
            await jobs.status(uuid4())
    assert [record.getMessage() for record in caplog.records] == [
        "the connection broke; trying again for 1 s; at first: no"
    ]


async def test_a_failure_that_asks_is_logged_with_its_question_mark_alone(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resume, "QUIET", 0)
    caplog.set_level(logging.WARNING, logger="worker.client")
    channel = PinnedChannel(client_of(certificates, Address("127.0.0.1", 1)))
    async with channel:
        await resume.Attempts(channel, 60).wait_next(NotListening("is workerserver running there?"))
    (record,) = caplog.records
    assert record.getMessage() == "is workerserver running there? trying again for 60 s"


async def test_cancelling_works_while_it_waits_for_the_next_attempt(certificates: Path) -> None:
    play = Play(wire.WaitRequest, [cut])
    async with serving(certificates, Wait=play) as config, Client(config) as jobs:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await jobs.wait(uuid4())
        check_not_cancelled()


async def test_a_connection_that_broke_leaves_the_task_as_it_was(certificates: Path) -> None:
    """grpclib cancels the task that waits; a TaskGroup or Ctrl-C of it must not notice."""
    play = Play(wire.QueryStatusRequest, [cut], [sending(wire.QueryStatusResponse())])
    async with serving(certificates, QueryStatus=play) as config, Client(config) as jobs:
        await jobs.status(uuid4())
        check_not_cancelled()


def check_not_cancelled() -> None:
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


async def test_a_cancellation_at_the_moment_of_the_cut_is_not_lost(certificates: Path) -> None:
    arrived = asyncio.Event()

    async def hang(_stream: Any) -> None:
        arrived.set()
        await asyncio.get_running_loop().create_future()

    play = Play(wire.QueryStatusRequest, [hang])
    async with serving(certificates, QueryStatus=play) as config, Client(config) as jobs:
        asking = asyncio.create_task(jobs.status(uuid4()))
        await arrived.wait()
        protocol: Any = jobs._channel._protocol
        protocol.connection_lost(None)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_call_that_waits_to_be_sent_is_woken_too(certificates: Path) -> None:
    """grpclib would wait for ever for its turn on a connection that is gone."""
    play = Play(wire.QueryStatusRequest, [sending(wire.QueryStatusResponse())])
    async with (
        serving(certificates, QueryStatus=play) as config,
        Client(config, patience=0) as jobs,
    ):
        protocol: Any = jobs._channel._protocol
        protocol.pause_writing()
        asking = asyncio.create_task(jobs.status(uuid4()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        protocol._transport.abort()
        with pytest.raises(ConnectionLost):
            await asking
        await jobs.status(uuid4())


async def test_answers_over_legal_but_unusual_frames_are_read(certificates: Path) -> None:
    """A frame of an unknown type, and empty DATA: RFC 9113 allows both."""

    async def unusual(stream: Any) -> None:
        await stream.send_initial_metadata()
        transport, number = stream._stream._transport, stream._stream.id
        transport.write(b"\0\0\1\xee\0" + number.to_bytes(4, "big") + b"x")
        await stream._stream.send_data(b"\0\0\0")
        await stream._stream.send_data(b"")
        await stream._stream.send_data(b"\0\x04\x12\x02ls")

    play = Play(wire.QueryStatusRequest, [unusual])
    async with (
        serving(certificates, QueryStatus=play) as config,
        Client(config, patience=0) as jobs,
    ):
        assert (await jobs.status(uuid4())).command == "ls"


async def test_a_client_that_was_left_asks_nothing_more(certificates: Path) -> None:
    async with serving(certificates, Stop=answering(wire.StopResponse())) as config:
        async with Client(config) as jobs:
            await jobs.stop(uuid4())
        with pytest.raises(Unavailable, match="closed"):
            await jobs.stop(uuid4())
