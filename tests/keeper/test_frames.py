"""Frames are judged by the one who receives them."""

import json

import pytest

from worker.keeper.frames import LENGTHS, MAX_JSON, MAX_RAW, BadFrame, Frames, encode
from worker.keeper.messages import Stop

JOB = "0b5c9c4e-7d5f-4a6e-9a70-0123456789ab"
STOP = Stop(1, JOB, "a client with \udcff in its name", None)


def test_a_frame_survives_any_cut() -> None:
    stream = encode(STOP, b"raw\0bytes") * 3
    for size in (1, 2, 7, len(stream)):
        frames = Frames()
        got = [
            frame
            for start in range(0, len(stream), size)
            for frame in frames.feed(stream[start : start + size])
        ]
        assert got == [(STOP, b"raw\0bytes")] * 3


GOOD = {"kind": "Stop", "ask": 1, "job": JOB, "by": "", "grace_s": 1.5}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"kind": "Nonsense"}, id="an unknown kind"),
        pytest.param({"kind": 7}, id="a kind that is no text"),
        pytest.param({"ask": "1"}, id="text for a number"),
        pytest.param({"ask": True}, id="a truth for a number"),
        pytest.param({"grace_s": "soon"}, id="text for seconds"),
        pytest.param({"job": "../../etc/passwd"}, id="a job that is a path"),
        pytest.param({"job": JOB.upper()}, id="a job in another spelling"),
        pytest.param({"job": JOB + "\n"}, id="a job with a newline"),
        pytest.param({"more": 1}, id="a field too many"),
        pytest.param({"by": None}, id="nothing for text"),
    ],
)
def test_other_types_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(framed(json.dumps(GOOD | changed).encode())))


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'"Stop"', b"\xff\xfe"])
def test_what_is_no_message_is_refused(text: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(framed(text)))


@pytest.mark.parametrize("lengths", [(MAX_JSON + 1, 0), (2, MAX_RAW + 1), (2**32 - 1, 2**32 - 1)])
def test_lengths_are_judged_before_a_byte_is_awaited(lengths: tuple[int, int]) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(LENGTHS.pack(*lengths)))


def framed(text: bytes) -> bytes:
    return LENGTHS.pack(len(text), 0) + text
