"""How a connection comes in, and how it is let go."""

import asyncio
import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
from grpclib.const import Status

from gen import workerservice as wire
from tests.server.conftest import Serving
from tests.server.raw import SERVICE, Raw, client_tls, head, message
from worker.job import Job
from worker.server import door
from worker.server.connection import Connection
from worker.server.limits import EARLY_STREAMS, STREAMS

pytestmark = pytest.mark.every_python

UNAVAILABLE = Status.UNAVAILABLE.value


async def closed(client: Raw) -> None:
    while await client.read():
        pass


@pytest.mark.parametrize(
    "said",
    [pytest.param(b"", id="nothing"), pytest.param(door.PREFACE[:-1], id="almost the preface")],
)
async def test_a_client_must_speak_http2_soon(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(door, "PREFACE_S", 0.05)
    reader, writer = await asyncio.open_connection(
        "localhost", serving.port, ssl=client_tls(serving.certificates, "full")
    )
    writer.write(said)
    await closed(Raw(reader, writer))
    writer.transport.abort()


async def test_the_preface_may_come_byte_by_byte(serving: Serving) -> None:
    client = await serving.client()
    for byte in client.http2.data_to_send():
        client.writer.write(bytes([byte]))
        await client.writer.drain()
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus")))
    assert answer.status[0] == Status.INVALID_ARGUMENT.value


async def test_what_is_no_http2_is_closed_at_once(serving: Serving) -> None:
    reader, writer = await asyncio.open_connection(
        "localhost", serving.port, ssl=client_tls(serving.certificates, "full")
    )
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await closed(Raw(reader, writer))
    writer.transport.abort()


async def test_frames_of_an_unknown_type_are_ignored(serving: Serving) -> None:
    client = await serving.client()
    await client.read()
    client.writer.write(struct.pack(">BHBBI", 0, 4, 0x77, 0, 0) + b"what")
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus")))
    assert answer.status[0] == Status.INVALID_ARGUMENT.value


async def ask(client: Raw, job: Job, count: int) -> list[int]:
    """Waits for the end of `job`, whatever the server has said of how many it takes."""
    client.http2.remote_settings.max_concurrent_streams = 10 * EARLY_STREAMS
    client.http2.remote_settings.acknowledge()
    body = message(bytes(wire.WaitRequest(job_id=job.id.bytes)))
    return [client.send(head(SERVICE + "Wait"), body) for _ in range(count)]


async def test_a_connection_has_100_requests_at_once_and_no_more(serving: Serving) -> None:
    job = await serving.registry.start("sleep", "600", grace_period=0)
    client = await serving.client()
    await present(serving, client)  # it has read the settings, too
    assert client.http2.remote_settings.max_concurrent_streams == STREAMS
    await ask(client, job, STREAMS - 1)
    (connection,) = await present(serving, client)
    await ask(client, job, 2)
    await closed(client)
    await connection.wait_answered()


async def test_who_can_not_know_that_yet_may_have_1000(serving: Serving) -> None:
    job = await serving.registry.start("sleep", "600", grace_period=0)
    client = await serving.client()
    streams = await ask(client, job, EARLY_STREAMS - 1)
    await present(serving, client)
    await job.stop()
    assert {(await client.ended(each)).status[0] for each in streams} == {Status.OK.value}


async def test_who_can_not_know_that_yet_has_no_more_than_1000(serving: Serving) -> None:
    job = await serving.registry.start("sleep", "600", grace_period=0)
    client = await serving.client()
    await ask(client, job, EARLY_STREAMS + 1)
    await closed(client)


async def test_a_connection_that_outlives_its_certificate_is_told_so(serving: Serving) -> None:
    client = await serving.client()
    (connection,) = await present(serving, client)
    calls = connection._calls
    calls._caller = replace(calls._caller, expires_at=datetime.now(UTC))
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus")))
    assert answer.status[0] == Status.UNAUTHENTICATED.value
    assert "expired" in answer.status[1]


async def test_a_client_that_vanishes_ends_what_it_asked_for(serving: Serving) -> None:
    job = await serving.registry.start("sleep", "600", grace_period=0)
    client = await serving.client()
    body = message(bytes(wire.GetOutputRequest(job_id=job.id.bytes)))
    for _ in range(20):
        client.send(head(SERVICE + "GetOutput"), body)
    (connection,) = await present(serving, client)
    tasks = [task for _, task in connection._calls._open.values()]
    assert len(tasks) == 20
    client.writer.transport.abort()
    await asyncio.wait(tasks)
    assert serving.door._connections == set()


async def present(serving: Serving, client: Raw) -> set[Connection]:
    """All connections, once the server has read what `client` has sent until now."""
    await client.ended(client.send(head(SERVICE + "QueryStatus")))
    return set(serving.door._connections)


async def test_leaving_ends_streams_and_waits_with_unavailable_then_says_goodbye(
    serving: Serving,
) -> None:
    job = await serving.registry.start("sh", "-c", "echo one; exec sleep 600", grace_period=0)
    client = await serving.client()
    follow = message(bytes(wire.GetOutputRequest(job_id=job.id.bytes)))
    streams = [
        client.send(head(SERVICE + "GetOutput"), follow),
        client.send(head(SERVICE + "Wait"), message(bytes(wire.WaitRequest(job_id=job.id.bytes)))),
        client.send(head(SERVICE + "QueryStatus"), end=False),  # that isn't complete yet
    ]
    while not client.answers[streams[0]].data:
        await client.read()
    await present(serving, client)
    serving.door.leave()
    await closed_by(client)
    assert [client.answers[stream].status[0] for stream in streams] == [UNAVAILABLE] * 3
    assert client.answers[streams[0]].data == message(
        bytes(wire.GetOutputResponse(output=b"one\n", stream=wire.Stream(1)))
    )
    assert client.goaway is not None


async def closed_by(client: Raw) -> None:
    """As a client does that has read the goodbye."""
    while client.goaway is None:
        assert await client.read()
    client.writer.transport.abort()


async def test_while_it_leaves_new_connections_and_requests_are_told_so(serving: Serving) -> None:
    idle = await serving.client()
    await present(serving, idle)
    serving.door.leave()
    await closed_by(idle)
    late, silent = await serving.client(), await serving.client()
    for each in (late, silent):
        await each.read()  # what it is greeted with
    stream = late.send(head(SERVICE + "QueryStatus"))
    answer = await late.ended(stream)
    assert answer.status == (UNAVAILABLE, "the server is leaving: try again")
    await closed_by(late)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serving.door.wait_empty())
        await closed_by(silent)
    assert serving.door._connections == set()


async def test_a_client_that_does_not_go_is_not_waited_for(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LEAVE_S", 0.05)
    client = await serving.client()
    for _ in range(2):  # what comes after the goodbye ends a connection: the settings are answered
        await present(serving, client)
    serving.door.leave()
    await serving.door.wait_empty()
    assert len(serving.door._connections) == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(struct.pack(">BHBBIII", 0, 8, 7, 0, 0, 0, 0), id="goodbye"),
        pytest.param(struct.pack(">BHBBII", 0, 4, 3, 0, 0, 0), id="what HTTP/2 forbids"),
    ],
)
async def test_a_connection_that_is_being_closed_does_not_keep_others_from_leaving(
    serving: Serving, said: bytes
) -> None:
    closing, other = await serving.client(), await serving.client()
    cast("asyncio.Transport", closing.writer.transport).pause_reading()  # so it doesn't end TLS
    await present(serving, other)
    closing.writer.write(said)
    while not any(each.connection.is_closing() for each in await present(serving, other)):
        pass
    serving.door.leave()
    await closed_by(other)
    await serving.door.wait_answered()


async def test_a_connection_that_can_not_be_told_does_not_keep_others_from_leaving(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await serving.client()
    (connection,) = await present(serving, broken)
    other = await serving.client()
    await present(serving, other)
    monkeypatch.setattr(connection, "leave", lambda: 1 / 0)
    serving.door.leave()
    await closed_by(other)
    await closed(broken)


async def test_who_does_not_read_is_given_up_and_others_are_answered(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "ANSWERED_S", 0.05)
    job = await serving.registry.start("sleep", "600", grace_period=0)
    stalled = await serving.client()
    await ask(stalled, job, 1)
    (connection,) = await present(serving, stalled)
    connection.pause_writing()  # as its transport says once enough is unread
    other = await serving.client()
    (stream,) = await ask(other, job, 1)
    await present(serving, other)
    serving.door.leave()
    await serving.door.wait_answered()
    await connection.wait_answered()
    await closed(stalled)
    assert stalled.goaway is None
    assert (await other.ended(stream)).status[0] == UNAVAILABLE
