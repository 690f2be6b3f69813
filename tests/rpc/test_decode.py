"""What is taken for a message, and what isn't. The bytes are written by hand."""

import random
import struct
from datetime import UTC, datetime, timedelta

import betterproto
import pytest

from gen import workerservice as wire
from worker.errors import InternalError
from worker.rpc.codec import StrictCodec
from worker.rpc.decode import decoded
from worker.rpc.wireformat import Malformed


def varint(value: int) -> bytes:
    head = bytearray()
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])


def tagged(number: int, wire_type: int, rest: bytes) -> bytes:
    return varint(number << 3 | wire_type) + rest


def text(number: int, value: bytes) -> bytes:
    return tagged(number, 2, varint(len(value)) + value)


@pytest.mark.parametrize(
    "message",
    [
        wire.StartRequest(),
        wire.StartRequest(
            command_name="ls",
            arguments=["", "ä€🙂", "x" * 300],
            job_id=bytes(range(16)),
            environment={"A": "", "": "b"},
            working_directory="/tmp",
            user="root",
            output_mode=wire.OutputMode(2),
            input=True,
            limits=wire.Limits(time=timedelta(seconds=1, microseconds=1), cpus=1.5, nice=-20),
            grace_period=timedelta(0),
            labels={"a": "b"},
        ),
        wire.GetOutputRequest(offset=2**64 - 1, tail_bytes=0, no_follow=True),
        wire.ListRequest(states=[wire.JobStatus(1), wire.JobStatus(4)], limit=2**32 - 1),
        wire.QueryStatusResponse(exit_code=-1, created_at=datetime(1969, 1, 1, 0, 0, 0, 1, UTC)),
        wire.GetOutputResponse(output=bytes(range(256)), end=wire.OutputEnd(total=0)),
        wire.QueryStatusResponse(
            limits=[wire.EnforcedLimit(name="memory", value=1.0), wire.EnforcedLimit()]
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_betterproto_writes_is_read_as_it_was(message: betterproto.Message) -> None:
    copy = decoded(type(message), bytes(message))
    assert copy == message
    assert bytes(copy) == bytes(message)


def test_an_empty_message_inside_another_is_there() -> None:
    assert betterproto.serialized_on_wire(decoded(wire.GetOutputResponse, text(6, b"")).end)
    assert not betterproto.serialized_on_wire(decoded(wire.GetOutputResponse, b"").end)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        pytest.param(text(1, b"ls")[:-1], "field 1 is cut short", id="a text cut short"),
        pytest.param(b"\x0a", "cut short", id="a field without its length"),
        pytest.param(b"\x80", "cut short", id="a number cut short"),
        pytest.param(tagged(1, 0, b"\x05"), "commandName is not", id="a number for a text"),
        pytest.param(tagged(2, 5, bytes(4)), "arguments is not", id="a number for one of many"),
        pytest.param(text(7, b"\x01"), "outputMode is not", id="a text for an enum"),
        pytest.param(tagged(8, 1, bytes(8)), "input is not", id="a fixed number for a bool"),
        pytest.param(tagged(4, 0, b"\x01"), "environment is not", id="a number for a map"),
        pytest.param(text(3, bytes(16))[:-1], "cut short", id="an id cut short"),
        pytest.param(text(1, b"\xff"), "commandName is not UTF-8", id="a text that isn't UTF-8"),
        pytest.param(text(1, b"\xed\xa0\x80"), "commandName is not UTF-8", id="a lone surrogate"),
        pytest.param(
            text(4, text(1, b"\xff")), "environment: key is not UTF-8", id="a key that isn't UTF-8"
        ),
        pytest.param(
            text(9, text(1, b"\x08")), "limits: time: .*cut short", id="damage deep inside"
        ),
        pytest.param(tagged(0, 0, b"\x01"), "number of a field", id="field 0"),
        pytest.param(varint(2**32 << 3) + b"\x01", "number of a field", id="field 2^32"),
        pytest.param(tagged(99, 3, b""), "wire type 3", id="a group"),
        pytest.param(tagged(99, 7, b""), "wire type 7", id="a wire type that doesn't exist"),
        pytest.param(tagged(8, 0, b"\xff" * 10 + b"\x01"), "ten bytes", id="an endless number"),
        pytest.param(b"\x0a" + varint(2**63) + b"ls", "cut short", id="a length of 2^63"),
    ],
)
def test_a_malformed_message_is_refused_with_the_reason(data: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        decoded(wire.StartRequest, data)


def test_fields_of_a_newer_program_are_skipped() -> None:
    unknown = tagged(100, 0, b"\x05") + tagged(101, 1, bytes(8)) + tagged(102, 5, bytes(4))
    data = unknown + text(103, b"\xff\xff") + text(1, b"ls")
    assert decoded(wire.StartRequest, data) == wire.StartRequest(command_name="ls")


def test_the_last_of_several_values_counts() -> None:
    assert decoded(wire.StartRequest, text(1, b"a") + text(1, b"b")).command_name == "b"


def test_packed_numbers_and_single_ones_are_the_same() -> None:
    one_by_one = tagged(1, 0, b"\x01") + tagged(1, 0, b"\x63")
    assert decoded(wire.ListRequest, text(1, b"\x01\x63")) == decoded(wire.ListRequest, one_by_one)


def timestamp(seconds: int, nanos: int = 0) -> bytes:
    unsigned = tagged(1, 0, varint(seconds % 2**64)) + tagged(2, 0, varint(nanos % 2**64))
    return text(12, unsigned)


@pytest.mark.parametrize(
    ("data", "time"),
    [
        pytest.param(timestamp(0, 1999), datetime(1970, 1, 1, 0, 0, 0, 1, UTC), id="cut to µs"),
        pytest.param(timestamp(-62_135_596_800), datetime(1, 1, 1, tzinfo=UTC), id="year 1"),
        pytest.param(
            timestamp(253_402_300_800), datetime.max.replace(tzinfo=UTC), id="the year 10000"
        ),
        pytest.param(timestamp(2**63 - 1), datetime.max.replace(tzinfo=UTC), id="the largest"),
        pytest.param(timestamp(-(2**63)), datetime.min.replace(tzinfo=UTC), id="the smallest"),
    ],
)
def test_a_time_that_python_can_not_hold_is_the_nearest(data: bytes, time: datetime) -> None:
    assert decoded(wire.QueryStatusResponse, data).created_at == time


def test_a_span_that_python_can_not_hold_is_the_nearest() -> None:
    data = text(2, tagged(1, 0, varint(2**63 - 1)))
    assert decoded(wire.WaitRequest, data).timeout == timedelta.max


def test_every_cut_of_a_message_is_read_or_refused() -> None:
    whole = bytes(
        wire.StartRequest(
            command_name="ls", environment={"a": "b"}, limits=wire.Limits(cpus=1.5, memory=2**60)
        )
    )
    for end in range(len(whole)):
        try:
            decoded(wire.StartRequest, whole[:end])
        except Malformed:
            continue


def test_noise_is_read_or_refused() -> None:
    noise = random.Random(9)
    for _ in range(2000):
        data = noise.randbytes(noise.randrange(40))
        for kind in (wire.StartRequest, wire.QueryStatusResponse):
            try:
                decoded(kind, data)
            except Malformed:
                continue


def test_a_damaged_answer_is_a_fault_of_the_server() -> None:
    with pytest.raises(InternalError, match=r"StartResponse is damaged: .*cut short"):
        StrictCodec().decode(b"\x0a\x05x", wire.StartResponse)


def test_a_double_is_read() -> None:
    data = text(9, tagged(3, 1, struct.pack("<d", 1.5)))
    assert decoded(wire.StartRequest, data).limits.cpus == 1.5
