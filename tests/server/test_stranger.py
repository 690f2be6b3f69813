"""A connection without a certificate is told so, within a budget."""

import asyncio

import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from gen import workerservice as wire
from tests.server.conftest import Serving
from tests.server.raw import SERVICE, Raw, client_tls, head, message
from worker.server import limits, stranger


async def closed(client: Raw) -> None:
    while await client.read():
        pass


async def test_each_request_is_answered_then_the_connection_ends(serving: Serving) -> None:
    client = await serving.client(None)
    streams = [client.send(head(SERVICE + rpc), end=False) for rpc in ("Start", "Nonsense", "Wait")]
    await closed(client)
    for stream in streams:
        answer = client.answers[stream]
        assert (answer.status[0], answer.is_ended) == (Status.UNAUTHENTICATED.value, True)
        assert answer.headers[":status"] == "200"
        assert answer.headers["content-type"] == "application/grpc"
    assert client.goaway == streams[-1]


async def test_what_it_still_sends_is_thrown_away_so_that_the_answer_is_not_lost(
    serving: Serving,
) -> None:
    client = await serving.client(None)
    stream = client.send(head(SERVICE + "Start"), *[bytes(16384)] * 3, end=False)
    client.writer.write(bytes(limits.STRANGER_DISCARD - 65536))
    answer = await client.ended(stream)
    assert answer.status[0] == Status.UNAUTHENTICATED.value


async def test_a_flood_ends_it_at_once(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stranger, "STRANGER_DISCARD_S", 600)
    client = await serving.client(None)
    client.send(head(SERVICE + "Start"), end=False)
    with pytest.raises(ConnectionError):
        await poured(client)


async def poured(client: Raw) -> None:
    while True:
        client.writer.write(bytes(65536))
        await client.writer.drain()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"PRI * HTTP/2.0\r\n", id="half a greeting"),
    ],
)
async def test_one_that_asks_nothing_is_closed_in_time(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(stranger, "STRANGER_S", 0.05)
    _, writer = opened = await asyncio.open_connection(
        "localhost", serving.port, ssl=client_tls(serving.certificates, None)
    )
    client = Raw(*opened)
    writer.write(said)
    await closed(client)
    writer.transport.abort()


async def test_one_that_says_too_much_before_it_asks_is_closed(serving: Serving) -> None:
    client = await serving.client(None)
    for _ in range(limits.STRANGER_READ // 17 + 1):
        client.http2.ping(bytes(8))
    client.flush()
    await closed(client)
    assert client.answers == {}


async def test_what_is_no_http2_is_closed_at_once(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranger, "STRANGER_S", 600)
    _, writer = opened = await asyncio.open_connection(
        "localhost", serving.port, ssl=client_tls(serving.certificates, None)
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await closed(Raw(*opened))
    writer.transport.abort()


async def test_only_so_many_are_there_at_once(serving: Serving) -> None:
    several = [await serving.client(None) for _ in range(limits.STRANGERS)]
    for each in several:  # the server has greeted it, so it has been counted
        await each.read()
    await closed(await serving.client(None))
    known = await serving.client("full")
    answer = await known.ended(known.send(head(SERVICE + "QueryStatus"), message(b"")))
    assert answer.status[0] == Status.INVALID_ARGUMENT.value


async def test_grpclib_is_told_fifty_times_of_fifty(serving: Serving) -> None:
    tls = client_tls(serving.certificates, None)
    request = wire.StartRequest(command_name="x" * 60_000)
    for _ in range(50):
        async with Channel("localhost", serving.port, ssl=tls) as channel:
            with pytest.raises(GRPCError) as refusal:
                await wire.WorkerServiceStub(channel).start(request)
        assert refusal.value.status is Status.UNAUTHENTICATED
