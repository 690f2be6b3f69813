"""A request and its status, over real TLS and HTTP/2, with bytes that no gRPC library sends."""

from datetime import timedelta
from uuid import uuid4

import pytest
from grpclib.const import Status

from gen import workerservice as wire
from tests.server.conftest import Serving
from tests.server.raw import SERVICE, head, message

JOB = uuid4().bytes
QUERY = bytes(wire.QueryStatusRequest(job_id=JOB))


@pytest.mark.parametrize(
    ("parts", "status", "complaint"),
    [
        pytest.param([], Status.INVALID_ARGUMENT, "no message", id="no message"),
        pytest.param([b"\0\0"], Status.INVALID_ARGUMENT, "cut short", id="a prefix cut short"),
        pytest.param(
            [message(QUERY)[:-1]], Status.INVALID_ARGUMENT, "cut short", id="a message cut short"
        ),
        pytest.param(
            [message(b"", length=9)], Status.INVALID_ARGUMENT, "cut short", id="only its prefix"
        ),
        pytest.param(
            [message(QUERY), message(QUERY)],
            Status.INVALID_ARGUMENT,
            "more than one message",
            id="two messages",
        ),
        pytest.param(
            [message(QUERY, compressed=1)], Status.UNIMPLEMENTED, "compressed", id="compressed"
        ),
        pytest.param(
            [message(b"\x08\x01")],
            Status.INVALID_ARGUMENT,
            "no QueryStatusRequest: jobID is not of the type bytes",
            id="a number where bytes belong",
        ),
        pytest.param(
            [message(b"\x0a\x10x")],
            Status.INVALID_ARGUMENT,
            "no QueryStatusRequest: field 1 is cut short",
            id="bytes cut short inside",
        ),
        pytest.param(
            [message(b"\x0a\x03abc")],
            Status.INVALID_ARGUMENT,
            "jobID is 3 bytes long",
            id="an id of another length",
        ),
        pytest.param(
            [message(b"")], Status.INVALID_ARGUMENT, "jobID is 0 bytes long", id="no id at all"
        ),
        pytest.param([message(QUERY)], Status.NOT_FOUND, "", id="an id that nobody has"),
        pytest.param(
            [message(QUERY)[:3], message(QUERY)[3:]], Status.NOT_FOUND, "", id="in pieces is fine"
        ),
        pytest.param(
            [b"", message(QUERY)[:7], b"", message(QUERY)[7:], b""],
            Status.NOT_FOUND,
            "",
            id="DATA without a byte is fine",
        ),
    ],
)
async def test_the_message_of_a_request(
    serving: Serving, parts: list[bytes], status: Status, complaint: str
) -> None:
    client = await serving.client()
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus"), *parts))
    code, text = answer.status
    assert (Status(code), complaint in text) == (status, True), text
    assert answer.headers["content-type"] == "application/grpc"


@pytest.mark.parametrize(
    ("rpc", "limit"),
    [("QueryStatus", 64 * 1024), ("Start", 256 * 1024)],
    ids=["a request: 64 KiB", "Start: 256 KiB"],
)
async def test_a_message_is_refused_by_its_length_before_it_is_sent(
    serving: Serving, rpc: str, limit: int
) -> None:
    client = await serving.client()
    prefix = message(b"", length=limit + 1)
    answer = await client.ended(client.send(head(SERVICE + rpc), prefix, end=False))
    code, text = answer.status
    assert Status(code) is Status.RESOURCE_EXHAUSTED
    assert f"{limit} is the most" in text
    assert answer.reset == 0  # NO_ERROR: stop sending


async def test_the_largest_start_is_taken(serving: Serving) -> None:
    client = await serving.client()
    request = wire.StartRequest(command_name="true", arguments=["x" * 100_000, "x" * 100_000])
    room = 256 * 1024 - len(bytes(request)) - 4
    request.arguments.append("x" * room)
    assert len(bytes(request)) == 256 * 1024
    body = message(bytes(request))
    parts = [body[at : at + 16384] for at in range(0, len(body), 16384)]
    stream = client.send(head(SERVICE + "Start"), *parts[:3], end=False)
    for part in parts[3:]:
        while client.http2.local_flow_control_window(stream) < len(part):
            await client.read()
        client.http2.send_data(stream, part, end_stream=part is parts[-1])
        client.flush()
    answer = await client.ended(stream)
    assert answer.status == (0, "")
    assert len(answer.data) == 5 + 2 + 16


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        pytest.param("Nonsense", {}, (12, "no method"), id="an unknown method"),
        pytest.param("", {}, (12, "no method"), id="no method"),
        pytest.param("QueryStatus", {"grpc_timeout": "1x"}, (3, "grpc-timeout"), id="bad timeout"),
        pytest.param(
            "QueryStatus", {"grpc_timeout": "9" * 500 + "S"}, (3, "grpc-timeout"), id="long timeout"
        ),
        pytest.param("QueryStatus", {"x-bin": "%%%"}, (3, "no message"), id="metadata is ignored"),
        pytest.param("QueryStatus", {"x": "\xff"}, (3, "no message"), id="whatever is in it"),
        pytest.param("QueryStatus", {"te": None}, (3, "no message"), id="te is not needed"),
        pytest.param(
            "QueryStatus",
            {"content-type": "application/grpc+proto"},
            (3, "no message"),
            id="grpc+proto",
        ),
    ],
)
async def test_the_head_of_a_request(
    serving: Serving, path: str, headers: dict[str, str | None], expected: tuple[int, str]
) -> None:
    client = await serving.client()
    answer = await client.ended(client.send(head(SERVICE + path, **headers)))
    assert answer.headers[":status"] == "200"
    assert answer.headers["content-type"] == "application/grpc"
    assert answer.status[0] == expected[0]
    assert expected[1] in answer.status[1]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({":method": "GET"}, "405", id="GET"),
        pytest.param({"content-type": "application/json"}, "415", id="JSON"),
        pytest.param({"content-type": "application/grpc+json"}, "415", id="grpc+json"),
        pytest.param({"content-type": None}, "415", id="no content type"),
    ],
)
async def test_what_is_no_grpc_is_answered_by_http(
    serving: Serving, headers: dict[str, str | None], status: str
) -> None:
    client = await serving.client()
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus", **headers)))
    assert answer.headers == {":status": status}


@pytest.mark.parametrize(
    ("request_", "status", "complaint"),
    [
        pytest.param(wire.StartRequest(), 3, "commandName is empty", id="no command"),
        pytest.param(
            wire.StartRequest(command_name="a\0b"), 3, "commandName contains a NUL", id="NUL"
        ),
        pytest.param(
            wire.StartRequest(command_name="/no/such"), 3, "/no/such", id="a command that isn't"
        ),
        pytest.param(
            wire.StartRequest(command_name="a", job_id=b"12345"), 3, "jobID is 5", id="a short id"
        ),
        pytest.param(
            wire.StartRequest(command_name="a", output_mode=wire.OutputMode.try_value(3)),
            12,
            "TERMINAL isn't built",
            id="a field that isn't built is named",
        ),
        pytest.param(
            wire.StartRequest(command_name="a", output_mode=wire.OutputMode.try_value(99)),
            3,
            "outputMode: 99",
            id="an unknown number of an enum",
        ),
        pytest.param(
            wire.StartRequest(command_name="a", grace_period=timedelta(days=2)),
            3,
            "gracePeriod",
            id="a grace period of two days",
        ),
        pytest.param(
            wire.StartRequest(command_name="a", working_directory="tmp"),
            3,
            "workingDirectory must be absolute",
            id="a relative directory",
        ),
    ],
)
async def test_a_bad_start_says_what_is_wrong(
    serving: Serving, request_: wire.StartRequest, status: int, complaint: str
) -> None:
    client = await serving.client()
    body = message(bytes(request_))
    answer = await client.ended(client.send(head(SERVICE + "Start"), body))
    assert answer.status[0] == status
    assert complaint in answer.status[1]


@pytest.mark.parametrize("rpc", ["Start", "Stop", "Signal", "Remove", "SendInput"])
async def test_who_may_not_ask_is_told_so_before_the_request_is_looked_at(
    serving: Serving, rpc: str
) -> None:
    client = await serving.client("readonly")
    answer = await client.ended(client.send(head(SERVICE + rpc), b"\xff" * 100, end=False))
    assert answer.status == (
        7,
        f"{rpc} needs the role full; the certificate of readonly has the role readonly",
    )


async def test_a_text_of_any_language_is_in_the_message(serving: Serving) -> None:
    client = await serving.client()
    body = message(bytes(wire.StartRequest(command_name="/nö/süch 🙂%")))
    answer = await client.ended(client.send(head(SERVICE + "Start"), body))
    assert "/n%C3%B6/s%C3%BCch %F0%9F%99%82%25" in answer.status[1]


async def test_a_long_name_is_cut_out_of_the_message(serving: Serving) -> None:
    """Else the client's HTTP/2 ends the connection, and whatever else it asks for."""
    client = await serving.client()
    job = await serving.registry.start("sleep", "600", grace_period=0)
    request = wire.SignalRequest(job_id=job.id.bytes, signal="🙂" * 15_000)
    body = message(bytes(request))
    frames = [body[start : start + 16_000] for start in range(0, len(body), 16_000)]
    answer = await client.ended(client.send(head(SERVICE + "Signal"), *frames))
    assert answer.status[0] == Status.INVALID_ARGUMENT.value
    assert answer.status[1].startswith("signal: '%F0%9F%99%82")
    assert answer.status[1].endswith("%F0%9F%99%82' is no signal: SIGTERM, HUP, 10 or RTMIN+1 are")
    assert len(answer.status[1]) < 8192


async def test_a_deadline_ends_a_wait(serving: Serving) -> None:
    job = await serving.registry.start("sleep", "600", grace_period=0)
    client = await serving.client()
    body = message(bytes(wire.WaitRequest(job_id=job.id.bytes)))
    answer = await client.ended(client.send(head(SERVICE + "Wait", grpc_timeout="50m"), body))
    assert answer.status[0] == Status.DEADLINE_EXCEEDED.value


async def test_an_unexpected_fault_is_internal_and_logged(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    serving.service._registry = None  # type: ignore[assignment]  # the fault
    client = await serving.client()
    body = message(QUERY)
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus"), body))
    assert Status(answer.status[0]) is Status.INTERNAL
    assert "NoneType" not in answer.status[1]
    assert "AttributeError" in caplog.text
    caplog.clear()


async def test_a_client_that_resets_its_stream_leaves_nothing_behind(serving: Serving) -> None:
    job = await serving.registry.start("sleep", "600", grace_period=0)
    client = await serving.client()
    body = message(bytes(wire.GetOutputRequest(job_id=job.id.bytes)))
    for _ in range(300):
        stream = client.send(head(SERVICE + "GetOutput"), body)
        client.http2.reset_stream(stream)
    client.flush()
    answer = await client.ended(client.send(head(SERVICE + "QueryStatus"), message(QUERY)))
    assert Status(answer.status[0]) is Status.NOT_FOUND
    (connection,) = serving.door._connections
    assert (connection._calls._open, connection.processor.streams) == ({}, {})
