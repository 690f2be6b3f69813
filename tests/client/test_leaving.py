"""A server that says goodbye: what is told of it, and what is asked for again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes

from gen import workerservice as wire
from tests.client.scripted import Message, serving
from worker.client import Client
from worker.errors import ConnectionLost, Incomplete, NotTaken

pytestmark = pytest.mark.every_python


def goodbye(stream: Any, *, begun: bool, code: int = ErrorCodes.NO_ERROR) -> None:
    """GOAWAY; `begun`: that stream is among those that the server has begun with."""
    last = stream._stream.id if begun else 0
    stream._stream._h2_connection.close_connection(code, last_stream_id=last)
    stream._stream._transport.write(stream._stream._h2_connection.data_to_send())


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        pytest.param(ErrorCodes.NO_ERROR, r"^the server is leaving: try again$", id="in order"),
        pytest.param(
            ErrorCodes.INTERNAL_ERROR,
            r"^the connection broke \(the server ended it, error code 2\): try again$",
            id="for a fault",
        ),
    ],
)
async def test_why_the_server_ended_the_connection_is_told(
    certificates: Path, code: int, sentence: str
) -> None:
    async def leaving(stream: Any) -> None:
        await stream.recv_message()
        goodbye(stream, begun=True, code=code)

    async with serving(certificates, Signal=leaving) as config, Client(config) as jobs:
        with pytest.raises(ConnectionLost, match=sentence):
            await jobs.signal(uuid4(), "HUP")


class LeavesFirst:
    """So many times it hasn't begun, and then it answers."""

    def __init__(self, times: int, answer: Any) -> None:
        self.asked = 0
        self._times, self._answer = times, answer

    async def __call__(self, stream: Any) -> None:
        await stream.recv_message()
        self.asked += 1
        if self.asked <= self._times:
            goodbye(stream, begun=False)
        else:
            await stream.send_message(Message(bytes(self._answer)))


@pytest.mark.parametrize(
    ("rpc", "ask", "answer"),
    [
        ("Signal", lambda jobs: jobs.signal(uuid4(), "HUP"), wire.SignalResponse()),
        ("Remove", lambda jobs: jobs.remove(uuid4()), wire.RemoveResponse()),
        # Without Wait: nobody asks whether it has been started, nor says that it may have been.
        ("Start", lambda jobs: jobs.start("ls"), wire.StartResponse(uuid4().bytes)),
    ],
    ids=["Signal", "Remove", "Start"],
)
async def test_what_the_server_has_not_begun_with_is_asked_for_once_more(
    certificates: Path, rpc: str, ask: Callable[[Client], Awaitable[object]], answer: Any
) -> None:
    once, twice = LeavesFirst(1, answer), LeavesFirst(2, answer)
    scripts: dict[str, Any] = {rpc: once}
    async with serving(certificates, **scripts) as config, Client(config, patience=0) as jobs:
        await ask(jobs)
    scripts = {rpc: twice}
    async with serving(certificates, **scripts) as config, Client(config, patience=0) as jobs:
        with pytest.raises(NotTaken, match=r"^the server is leaving: try again$"):
            await ask(jobs)
    assert (once.asked, twice.asked) == (2, 2)


async def test_an_answer_that_came_with_the_goodbye_counts(certificates: Path) -> None:
    """As one of our server may: it says goodbye once all is answered."""

    async def answering(stream: Any) -> None:
        await stream.recv_message()
        http2, number = stream._stream._h2_connection, stream._stream.id
        http2.send_headers(number, [(":status", "200"), ("content-type", "application/grpc+proto")])
        http2.send_data(number, b"\0\0\0\0\0")
        http2.send_headers(number, [("grpc-status", "0")], end_stream=True)
        goodbye(stream, begun=True)
        await asyncio.get_running_loop().create_future()

    async with serving(certificates, Remove=answering) as config, Client(config) as jobs:
        await jobs.remove(uuid4())
        (left,) = jobs._channel._open
        await left.wait_lost(60)
        await jobs.remove(uuid4())


async def test_why_an_output_broke_off_is_told_though_the_connection_is_being_closed(
    certificates: Path,
) -> None:
    async def refusing(stream: Any) -> None:
        await stream.recv_message()
        await stream.send_message(Message(bytes(wire.GetOutputResponse(output=b"some"))))
        await stream.send_trailing_metadata(
            status=Status.UNAVAILABLE, status_message="the disk has gone"
        )

    async with (
        serving(certificates, GetOutput=refusing) as config,
        Client(config, patience=0) as jobs,
    ):
        chunks = jobs.output(uuid4())
        assert (await anext(chunks)).data == b"some"
        (stream,) = jobs._channel._open[0].processor.streams.values()
        await stream.trailers_received.wait()
        stream._transport.close()
        with pytest.raises(Incomplete, match=r"broke off at offset 4: the disk has gone"):
            await anext(chunks)
