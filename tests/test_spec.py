"""What can't be executed is refused where it enters, and the field is named."""

from pathlib import Path
from typing import Any

import pytest

from worker.errors import InvalidRequest
from worker.spec import MAX_ARGUMENT, JobSpec

HALF = "a\ud800"  # no byte and no character


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"command": ""}, "commandName is empty", id="no command"),
        pytest.param({"command": HALF}, "commandName: ", id="half a character in the command"),
        pytest.param({"arguments": ("", HALF)}, r"arguments\[1\]: ", id="in an argument"),
        pytest.param({"environment": {HALF: ""}}, "environment", id="in the name of a variable"),
        pytest.param({"environment": {"A": HALF}}, r"environment\['A'\]: ", id="in a variable"),
        pytest.param({"working_directory": f"/{HALF}"}, "workingDirectory: ", id="in a directory"),
        pytest.param({"labels": {"team": HALF}}, r"labels\['team'\]: ", id="in a label"),
        pytest.param({"arguments": ("a\0b",)}, r"arguments\[0\] contains a NUL", id="NUL"),
        pytest.param({"environment": {"A=B": ""}}, "'A=B' can't be", id="= in a name"),
        pytest.param({"environment": {"": ""}}, "'' can't be", id="a variable without a name"),
        pytest.param({"working_directory": "x"}, "must be absolute", id="a relative directory"),
        pytest.param({"arguments": ("x" * (MAX_ARGUMENT + 1),)}, "is the most", id="too long"),
        pytest.param({"grace_period": float("nan")}, "gracePeriod", id="no number of seconds"),
    ],
)
def test_what_cant_be_executed(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        JobSpec(**({"command": "ls"} | fields))
    str(refused.value).encode()  # can be sent and shown


@pytest.mark.parametrize("text", ["\udcff", "ä€🙂", "a\nb", " "])
def test_any_bytes_can_be_executed(text: str) -> None:
    assert JobSpec(text, (text,), {text: text}, f"/{text}", labels={text: text}).command == text


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"command": Path("/bin/ls")}, "commandName", id="a path for a command"),
        pytest.param({"command": "ls", "arguments": (1,)}, r"arguments\[0\]", id="a number"),
        pytest.param({"command": "ls", "arguments": (b"x",)}, r"arguments\[0\]", id="bytes"),
        pytest.param({"command": "ls", "environment": {"A": 1}}, "environment", id="a value"),
        pytest.param({"command": "ls", "labels": {"a": 1}}, "labels", id="a label"),
        pytest.param({"command": "ls", "grace_period": None}, "gracePeriod", id="no grace period"),
        pytest.param({"command": "ls", "output_mode": "both"}, "outputMode", id="an unknown mode"),
    ],
)
def test_what_is_no_text_is_refused_before_it_can_do_harm(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidRequest, match=named):
        JobSpec(**fields)
