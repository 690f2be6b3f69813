import json
import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cli.render import as_json, printable, summary, word
from worker.limits import EnforcedLimit
from worker.state import Cause, JobState, JobStatus, Outcome, OutputSize, Usage

ID = UUID("0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c")
START = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
RUNNING = JobStatus(
    id=ID,
    command="ls",
    arguments=("-la", "a b"),
    state=JobState.RUNNING,
    created_at=START,
    started_at=START,
)
CPU = "0.500 s of CPU, 0.250 s in the kernel"
ENDED = replace(
    RUNNING,
    state=JobState.STOPPED,
    owner="full",
    labels={"team": "a"},
    leader_exited_at=START + timedelta(seconds=1),
    ended_at=START + timedelta(seconds=2),
    outcome=Outcome.SIGNALED,
    exit_code=143,
    signal="SIGTERM",
    cause=Cause.STOP,
    reason="asked to",
    stopped_by="full",
    output=OutputSize(stdout=3, stderr=4, dropped=5),
    usage=Usage(timedelta(seconds=0.5), timedelta(seconds=0.25), 9),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("ls -la ä€🙂", "ls -la ä€🙂", id="what is printable stays"),
        pytest.param("\x1b[2J\x07", r"\x1b[2J\x07", id="control characters"),
        pytest.param("a\nb\r\t", r"a\nb\r\t", id="line ends"),
        pytest.param("\x7f\x9b31m", r"\x7f\x9b31m", id="delete, and the one-byte CSI"),
        pytest.param("\u202etxt.exe", r"\u202etxt.exe", id="the direction of writing"),
        pytest.param("\udcff", r"\udcff", id="a byte that wasn't UTF-8"),
    ],
)
def test_nothing_reaches_a_terminal_raw(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["ls", "", "a b", "it's", "$HOME", "a\nb", "\x1b'\\\x07 x", "ä\t"])
def test_a_word_is_what_a_shell_would_read_back(text: str) -> None:
    assert word(text).isprintable()
    script = f"printf %s {word(text)}"
    shown = subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=10)
    assert shown.stdout.decode() == text


def test_the_summary_shows_what_is_known() -> None:
    lines = dict(line.split(maxsplit=1) for line in summary(RUNNING).splitlines())
    assert lines == {
        "job": str(ID),
        "command": "ls -la 'a b'",
        "state": "running",
        "created": "2026-01-02 03:04:05.000006 UTC",
        "started": "2026-01-02 03:04:05.000006 UTC",
        "output": "0 bytes",
    }


def test_the_summary_of_an_end_says_how_and_why() -> None:
    text = summary(ENDED)
    for line in (
        "state         stopped",
        "exit code     143",
        "signal        SIGTERM",
        "cause         stop",
        "stopped by    full",
        "labels        team=a",
        f"usage         ran for 2.000 s, {CPU}, 9 bytes of memory at most",
        "ended         2026-01-02 03:04:07.000006 UTC",
        "output        7 bytes (stdout 3, stderr 4, and 5 dropped)",
    ):
        assert line in text.splitlines()


def test_no_text_of_a_job_reaches_the_summary_raw() -> None:
    evil = "\x1b[2J\n"
    status = replace(
        ENDED,
        command=evil,
        arguments=(evil,),
        owner=evil,
        labels={evil: evil},
        reason=evil,
        stopped_by=evil,
        signal=evil,
    )
    assert len(summary(status).splitlines()) == len(summary(ENDED).splitlines())
    assert all(line.isprintable() for line in summary(status).splitlines())


def test_json_has_no_key_for_what_isnt_known() -> None:
    assert json.loads(as_json(RUNNING)) == {
        "jobID": str(ID),
        "commandName": "ls",
        "arguments": ["-la", "a b"],
        "state": "running",
        "labels": {},
        "createdAt": "2026-01-02T03:04:05.000006+00:00",
        "startedAt": "2026-01-02T03:04:05.000006+00:00",
        "output": {"bytes": 0, "stdout": 0, "stderr": 0, "merged": 0, "dropped": 0},
    }


def test_json_tells_all_that_is_known() -> None:
    told = json.loads(as_json(ENDED))
    assert told["outcome"] == "signaled"
    assert (told["exitCode"], told["signal"], told["cause"]) == (143, "SIGTERM", "stop")
    assert (told["owner"], told["stoppedBy"], told["reason"]) == ("full", "full", "asked to")
    assert told["endedAt"] == "2026-01-02T03:04:07.000006+00:00"
    assert told["output"] == {"bytes": 7, "stdout": 3, "stderr": 4, "merged": 0, "dropped": 5}
    assert told["usage"] == {"wallTime": 2, "userCpu": 0.5, "systemCpu": 0.25, "peakMemory": 9}


def test_wall_time_is_told_also_without_a_usage() -> None:
    """By a server that doesn't count."""
    ended = replace(ENDED, usage=None)
    assert json.loads(as_json(ended))["usage"] == {"wallTime": 2}
    assert "usage         ran for 2.000 s" in summary(ended).splitlines()
    assert ended.wall_time == timedelta(seconds=2)


@pytest.mark.parametrize(
    "status", [replace(ENDED, started_at=None), replace(ENDED, ended_at=None)], ids=["start", "end"]
)
def test_wall_time_isnt_guessed(status: JobStatus) -> None:
    status = replace(status, usage=None)
    assert status.wall_time is None
    assert "usage" not in json.loads(as_json(status))
    assert "usage" not in summary(status)


@pytest.mark.parametrize(("value", "told"), [(1073741824.0, "1073741824"), (0.5, "0.5")])
def test_a_whole_number_is_whole_in_json(value: float, told: str) -> None:
    limited = replace(RUNNING, limits=(EnforcedLimit("output", value, None),))
    assert f'"value": {told}}}' in as_json(limited)


def test_json_tells_success_from_what_isnt_known() -> None:
    success = replace(ENDED, exit_code=0, outcome=Outcome.EXITED, signal=None)
    assert json.loads(as_json(success))["exitCode"] == 0


def test_json_is_one_line_of_ascii() -> None:
    text = as_json(replace(RUNNING, arguments=("ä\n\x1b\udcff",)))
    assert text.isascii()
    assert text.splitlines() == [text.rstrip("\n")]
    assert json.loads(text)["arguments"] == ["ä\n\x1b\udcff"]


def test_the_command_can_be_copied() -> None:
    command = summary(RUNNING).splitlines()[1].removeprefix("command").strip()
    assert shlex.split(command) == ["ls", "-la", "a b"]
