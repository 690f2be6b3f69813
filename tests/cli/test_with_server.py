"""The command line against our own server."""

import hashlib
import json
import shlex
import subprocess
from dataclasses import replace

import pytest

from cli.statuses import ExitStatus
from tests.cli.program import Program


def started(program: Program, *arguments: str) -> str:
    result = program.run("start", *arguments)
    assert (result.status, result.stderr) == (0, b"")
    return result.stdout.decode().strip()


def output_of(program: Program, *arguments: str) -> bytes:
    result = program.run("stream", "-j", started(program, *arguments))
    assert (result.status, result.stderr) == (0, b"")
    return result.stdout


def told(program: Program, job: str) -> dict[str, object]:
    values: dict[str, object] = json.loads(program.run("query", "--json", "-j", job).stdout)
    return values


def test_a_job_is_started_streamed_queried_and_stopped(connected: Program) -> None:
    job = started(connected, "sh", "-args", "-c", "echo ready; exec sleep 98731")
    assert told(connected, job)["state"] == "running"
    with connected.popen("stream", "-j", job) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        stopped = connected.run("stop", "-j", job)
        assert (stopped.status, stopped.stdout, stopped.stderr) == (0, b"", b"")
        assert process.stdout.read() == b""
    assert process.returncode == 0
    status = told(connected, job)
    assert (status["state"], status["exitCode"], status["signal"]) == ("stopped", 143, "SIGTERM")
    assert connected.run("stop", "-j", job).status == 0  # an ended job is left alone


def test_an_ended_job_is_removed_and_a_running_one_is_not(connected: Program) -> None:
    job = started(connected, "--", "sleep", "98732")
    refused = connected.run("rm", "-j", job)
    assert refused.status == ExitStatus.REFUSED
    assert b"hasn't ended: stop it" in refused.stderr
    connected.run("stop", "-j", job)
    assert connected.run("stream", "-j", job).status == 0  # until it is final
    removed = connected.run("rm", "-j", job)
    assert (removed.status, removed.stdout, removed.stderr) == (0, b"", b"")
    asked = connected.run("query", "-j", job)
    assert asked.status == ExitStatus.NOT_FOUND
    assert b"was removed by full at 20" in asked.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--", "printf", "[%s]", "--", "--", "-x"], id="a second --"),
        pytest.param(["printf", "-args", "[%s]", "--", "-j", "1"], id="-- and -j after -args"),
        pytest.param(
            ["--", "printf", "<%s>", "-j", "-h", "--help", "--json", "-Djob=-j", "--config", "x"],
            id="options that are ours elsewhere",
        ),
        pytest.param(["--", "printf", "<%s>", "", " ", "a\nb", "ä€🙂", "-1"], id="odd texts"),
    ],
)
def test_arguments_reach_the_job_byte_by_byte(connected: Program, arguments: list[str]) -> None:
    separator = min(arguments.index(each) for each in ("--", "-args") if each in arguments)
    local = [*arguments[:separator], *arguments[separator + 1 :]]
    expected = subprocess.run(local, capture_output=True, check=True, timeout=10).stdout
    assert output_of(connected, *arguments) == expected


def test_output_is_exact(connected: Program) -> None:
    script = "import os; os.write(1, bytes(range(256)) * 4000); os.write(1, b'no newline')"
    expected = bytes(range(256)) * 4000 + b"no newline"
    assert output_of(connected, "--", "python3", "-c", script) == expected


def test_much_output_is_exact(connected: Program) -> None:
    output = output_of(connected, "--", "seq", "1", "1000000")
    expected = "".join(f"{number}\n" for number in range(1, 1_000_001)).encode()
    assert hashlib.sha256(output).digest() == hashlib.sha256(expected).digest()


def test_the_streams_of_the_job_are_told_apart(connected: Program) -> None:
    job = started(connected, "--", "sh", "-c", "echo o; echo e >&2; exit 3")
    result = connected.run("stream", "-j", job)
    assert (result.status, result.stdout, result.stderr) == (0, b"o\n", b"e\n")


def test_options_of_start(connected: Program) -> None:
    script = "echo $A $B; pwd; echo e >&2"
    options = ["--env", "A=1", "--env", "B=ä=", "--directory", "/", "--merged"]
    assert output_of(connected, *options, "--", "sh", "-c", script) == "1 ä=\n/\ne\n".encode()


def test_a_stream_goes_on_from_an_offset(connected: Program) -> None:
    job = started(connected, "--", "printf", "0123456789")
    assert connected.run("stream", "-j", job).stdout == b"0123456789"
    assert connected.run("stream", "-j", job, "--offset", "7").stdout == b"789"
    beyond = connected.run("stream", "-j", job, "--offset", "11")
    assert (beyond.status, beyond.stdout) == (ExitStatus.REFUSED, b"")


def test_control_characters_of_a_command_are_shown_escaped(connected: Program) -> None:
    job = started(connected, "--", "printf", "\033[2J\033]0;t\007")
    shown = connected.run("query", "-j", job).stdout.decode()
    assert all(line.isprintable() for line in shown.splitlines())
    command = shown.splitlines()[1].removeprefix("command").strip()
    assert command == r"printf $'\x1b[2J\x1b]0;t\x07'"
    assert told(connected, job)["arguments"] == ["\033[2J\033]0;t\007"]
    assert (
        connected.run("stream", "-j", job).stdout == b"\033[2J\033]0;t\007"
    )  # raw: it is asked for


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_descriptors_change_no_byte(connected: Program, closed: str) -> None:
    job = started(connected, "--", "echo", "all")
    result = replace(connected, redirected=closed).run("stream", "-j", job)
    assert (result.status, result.stdout) == (0, b"all\n")


def test_an_ipv6_address_in_another_spelling(connected: Program) -> None:
    job = started(connected, "--", "true")
    path = connected.folder / "workerclient.yaml"
    path.write_text(path.read_text().replace("localhost", "[0:0:0:0:0:0:0:1]"))
    assert told(connected, job)["jobID"] == job


def test_the_shown_command_can_be_started_again(connected: Program) -> None:
    arguments = ["printf", "%s|", "a b", "it's", "", "x"]
    job = started(connected, "--", *arguments)
    command = connected.run("query", "-j", job).stdout.decode().splitlines()[1]
    assert shlex.split(command.removeprefix("command")) == arguments
