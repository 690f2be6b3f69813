"""What a Client makes of answers that our own server never gives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import betterproto
import pytest
from grpclib.const import Status

from gen import workerservice as wire
from tests.client.scripted import Message, Script, answering, serving
from worker.client import Client
from worker.errors import Incomplete, InternalError, InvalidRequest, NoRoom, Unavailable
from worker.job import Jobs
from worker.listing import ALL_JOBS
from worker.state import Chunk, JobState, Stream

HALF = wire.GetOutputResponse(output=b"half", offset=3)
END = wire.GetOutputResponse(end=wire.OutputEnd(0))  # present, though all in it is zero


async def collect(chunks: AsyncIterator[Chunk], into: list[bytes]) -> None:
    async for chunk in chunks:
        into.append(chunk.data)  # noqa: PERF401 - what came before an error counts


async def cut_the_connection(stream: Any) -> None:
    await answering(HALF)(stream)
    stream._stream._transport.abort()


async def answer_unavailable(stream: Any) -> None:
    await answering(HALF)(stream)
    await stream.send_trailing_metadata(status=Status.UNAVAILABLE, status_message="leaving")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(answering(HALF), "no end message", id="the server ends the stream"),
        pytest.param(cut_the_connection, "the connection broke", id="the connection breaks"),
        pytest.param(answer_unavailable, "leaving", id="the server leaves"),
    ],
)
async def test_output_without_its_end_message_is_incomplete(
    certificates: Path, script: Script, why: str
) -> None:
    seen: list[bytes] = []
    async with (
        serving(certificates, GetOutput=script) as config,
        Client(config, patience=0) as client,
    ):
        with pytest.raises(Incomplete, match=rf"broke off at offset 7: .*{why}"):
            await collect(client.output(uuid4()), seen)
    assert seen == [b"half"]


async def test_output_ends_with_its_end_message_even_an_empty_one(certificates: Path) -> None:
    script = answering(HALF, END)
    async with serving(certificates, GetOutput=script) as config, Client(config) as client:
        chunks = [chunk async for chunk in client.output(uuid4())]
    assert chunks == [Chunk(b"half", 3)]


async def test_what_breaks_behind_the_end_message_doesnt_matter(certificates: Path) -> None:
    async def script(stream: Any) -> None:
        await answering(HALF, END)(stream)
        stream._stream._transport.abort()

    async with serving(certificates, GetOutput=script) as config, Client(config) as client:
        assert [chunk.data async for chunk in client.output(uuid4())] == [b"half"]


async def test_chunks_tell_stream_time_and_what_is_missing(certificates: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    answer = wire.GetOutputResponse(
        output=b"x", offset=5, stream=wire.Stream["STDERR"], time=moment, skipped=9
    )
    script = answering(answer, END)
    async with serving(certificates, GetOutput=script) as config, Client(config) as client:
        chunks = [chunk async for chunk in client.output(uuid4(), tagged=True)]
    assert chunks == [Chunk(b"x", 5, Stream.STDERR, moment, 9)]


async def test_output_asks_for_what_was_asked(certificates: Path) -> None:
    asked = []

    async def script(stream: Any) -> None:
        asked.append(wire.GetOutputRequest().parse(await stream.recv_message()))
        await stream.send_message(Message(bytes(END)))

    job_id = uuid4()
    async with serving(certificates, GetOutput=script) as config, Client(config) as client:
        async for _ in client.output(job_id, offset=7, follow=False, tagged=True):
            pass
    assert asked == [
        wire.GetOutputRequest(job_id=job_id.bytes, offset=7, no_follow=True, tagged=True)
    ]


@pytest.mark.parametrize("offset", [-1, 2**64])
async def test_an_impossible_offset_is_refused_before_it_is_sent(
    certificates: Path, offset: int
) -> None:
    async with serving(certificates) as config, Client(config) as client:
        with pytest.raises(InvalidRequest, match="offset"):
            await anext(client.output(uuid4(), offset=offset))


async def test_leaving_a_busy_stream_leaves_nothing_behind(certificates: Path) -> None:
    async def flood(stream: Any) -> None:
        await stream.recv_message()
        while True:
            await stream.send_message(Message(bytes(wire.GetOutputResponse(output=bytes(200_000)))))

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, complaint: complaints.append(complaint)
    )
    async with serving(certificates, GetOutput=flood) as config:
        async with Client(config) as client:
            chunks = client.output(uuid4())
            await anext(chunks)
            await chunks.aclose()
            chunks = client.output(uuid4())
            await anext(chunks)
        with pytest.raises(Unavailable):  # the client is closed under it
            await collect(chunks, [])
    assert complaints == []


async def test_start_chooses_the_id(certificates: Path) -> None:
    asked = []

    async def script(stream: Any) -> None:
        request = wire.StartRequest().parse(await stream.recv_message())
        asked.append(request)
        await stream.send_message(Message(bytes(wire.StartResponse(job_id=request.job_id))))

    async with serving(certificates, Start=script) as config, Client(config) as client:
        job = await client.start("ls", "-la", "", labels={"a": "b"})
    assert asked[0].command_name == "ls"
    assert asked[0].arguments == ["-la", ""]
    assert asked[0].labels == {"a": "b"}
    assert job.id.bytes == asked[0].job_id


async def test_a_server_that_ignores_the_id_is_believed(certificates: Path) -> None:
    theirs = uuid4()
    script = answering(wire.StartResponse(job_id=theirs.bytes))
    async with serving(certificates, Start=script) as config, Client(config) as client:
        assert (await client.start("ls")).id == theirs


async def test_text_that_isnt_utf8_is_refused_before_it_is_sent(certificates: Path) -> None:
    async with serving(certificates) as config, Client(config) as client:
        with pytest.raises(InvalidRequest, match="isn't UTF-8"):
            await client.start("ls", "\udcff")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(b"\x12\x02\xff\xff", id="a text that isn't UTF-8"),
        pytest.param(b"\x12\x7fx", id="a message that is cut short"),
    ],
)
async def test_an_answer_that_cant_be_read_is_an_internal_error(
    certificates: Path, answer: bytes
) -> None:
    script = answering(answer)
    async with serving(certificates, QueryStatus=script) as config, Client(config) as client:
        with pytest.raises(InternalError, match="QueryStatusResponse is damaged"):
            await client.status(uuid4())


ODD = wire.QueryStatusResponse(job_id=b"short")


@pytest.mark.parametrize(
    ("rpc", "answer", "ask"),
    [
        ("Start", wire.StartResponse(job_id=b"short"), lambda client: client.start("ls")),
        ("List", wire.ListResponse([ODD]), lambda client: client.page(ALL_JOBS)),
        ("Watch", ODD, lambda client: anext(client.watch())),
    ],
)
async def test_a_job_id_of_the_wrong_length_is_an_internal_error(
    certificates: Path,
    rpc: str,
    answer: betterproto.Message,
    ask: Callable[[Client], Awaitable[object]],
) -> None:
    async with (
        serving(certificates, None, **{rpc: answering(answer)}) as config,
        Client(config) as client,
    ):
        with pytest.raises(InternalError, match="job id b'short'"):
            await ask(client)


LAST = wire.QueryStatusResponse(job_id=UUID(int=5).bytes, revision=7)


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(replace(LAST, job_status=wire.JobStatus["EXITED"]), id="final"),
        pytest.param(
            replace(LAST, job_status=wire.JobStatus["RUNNING"], removed=True), id="removed"
        ),
    ],
)
async def test_a_watch_that_has_told_the_last_of_a_job_asks_no_more(
    certificates: Path, last: wire.QueryStatusResponse
) -> None:
    calls = 0

    async def script(stream: Any) -> None:
        nonlocal calls
        calls += 1
        await answering(last)(stream)
        stream._stream._transport.abort()

    async with serving(certificates, Watch=script) as config, Client(config, patience=0) as client:
        (status,) = [status async for status in client.watch(UUID(int=5))]
        assert status.revision == 7
        with pytest.raises(Unavailable):  # of all jobs there is no last
            _ = [status async for status in client.watch()]
    assert calls == 2


async def test_an_answer_of_a_newer_server_is_shown_as_it_is(certificates: Path) -> None:
    answer = bytes(wire.QueryStatusResponse(command_name="ls", exit_code=-1))
    script = answering(answer + b"\x20\x63" + b"\xa0\x06\x01")  # JobStatus 99, a field 100
    job_id = UUID(int=5)
    async with serving(certificates, QueryStatus=script) as config, Client(config) as client:
        status = await client.status(job_id)
    assert (status.id, status.command, status.state) == (job_id, "ls", "unknown(99)")
    assert not status.is_final
    assert status.exit_code is None


def waited(*states: str) -> tuple[Script, list[timedelta | None]]:
    """Answers one state after the other; the time-outs that were asked for."""
    asked: list[timedelta | None] = []
    left = list(states)

    async def script(stream: Any) -> None:
        asked.append(wire.WaitRequest().parse(await stream.recv_message()).timeout)
        answer = wire.QueryStatusResponse(job_status=wire.JobStatus[left.pop(0)])
        await stream.send_message(Message(bytes(answer)))

    return script, asked


async def test_a_long_wait_is_many_bounded_ones(certificates: Path) -> None:
    script, asked = waited("RUNNING", "RUNNING", "EXITED")
    async with serving(certificates, Wait=script) as config, Client(config) as client:
        assert (await client.wait(uuid4())).state is JobState.EXITED
    assert asked == [timedelta(seconds=60)] * 3


@pytest.mark.parametrize("timeout", [0, -5])
async def test_a_wait_without_time_asks_once(certificates: Path, timeout: float) -> None:
    script, asked = waited("RUNNING")
    async with serving(certificates, Wait=script) as config, Client(config) as client:
        assert (await client.wait(uuid4(), timeout)).state is JobState.RUNNING
    assert asked == [timedelta(0)]


@pytest.mark.parametrize(
    "timeout", [float("nan"), "1", True, pytest.param(10**400, id="too large")]
)
async def test_a_timeout_that_is_no_number_is_refused(certificates: Path, timeout: Any) -> None:
    async with serving(certificates) as config, Client(config) as client:
        with pytest.raises(InvalidRequest, match="timeout must be a number"):
            await client.wait(uuid4(), timeout)


async def test_an_error_bears_the_servers_sentence(certificates: Path) -> None:
    async def script(stream: Any) -> None:
        await stream.recv_message()
        await stream.send_trailing_metadata(
            status=Status.RESOURCE_EXHAUSTED, status_message="no room: ä"
        )

    async with serving(certificates, Stop=script) as config, Client(config) as client:
        with pytest.raises(NoRoom, match="no room: ä"):
            await client.stop(uuid4())


async def test_an_impossible_grace_period_is_refused(certificates: Path) -> None:
    async with serving(certificates) as config, Client(config) as client:
        for grace in (-1, float("nan"), 1e9, 10**400, True):
            with pytest.raises(InvalidRequest, match="gracePeriod"):
                await client.stop(uuid4(), grace_period=grace)


async def test_a_broken_connection_is_made_again_and_asked_again(certificates: Path) -> None:
    calls = 0

    async def script(stream: Any) -> None:
        nonlocal calls
        calls += 1
        await stream.recv_message()
        if calls == 1:
            stream._stream._transport.abort()
        else:
            await stream.send_message(Message(bytes(wire.StopResponse())))

    async with serving(certificates, Stop=script) as config, Client(config) as client:
        await client.stop(uuid4())
    assert calls == 2


def test_a_client_is_a_place_where_jobs_live() -> None:
    kind: type[Jobs] = Client  # which mypy checks
    assert kind is Client
