"""The command line against our own server."""

import asyncio
import hashlib
import json
import shlex
import subprocess
from dataclasses import replace

import pytest

from cli.statuses import ExitStatus
from tests.cli.program import Program, Result
from tests.client.test_with_server import text_of
from worker.client import Client


async def started(program: Program, *arguments: str) -> str:
    result = await program.aside("start", *arguments)
    assert (result.status, result.stderr) == (0, b"")
    return result.stdout.decode().strip()


async def told(program: Program, job: str) -> dict[str, object]:
    asked = await program.aside("query", "--json", "-j", job)
    values: dict[str, object] = json.loads(asked.stdout)
    return values


async def test_a_job_is_started_streamed_queried_and_stopped(connected: Program) -> None:
    job = await started(connected, "sh", "-args", "-c", "echo ready; exec sleep 98731")
    assert (await told(connected, job))["state"] == "running"
    with connected.popen("stream", "-j", job) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        assert await connected.aside("stop", "-j", job) == Result(0, b"", b"")
        assert await asyncio.to_thread(process.stdout.read) == b""
    assert process.returncode == 0
    status = await told(connected, job)
    assert (status["state"], status["exitCode"], status["signal"]) == ("stopped", 143, "SIGTERM")
    assert (await connected.aside("stop", "-j", job)).status == 0  # an ended job is left alone


async def test_an_ended_job_is_removed_and_a_running_one_is_not(
    connected: Program, client: Client
) -> None:
    running = await client.start("sleep", "98732")
    job = str(running.id)
    refused = await connected.aside("rm", "-j", job)
    assert refused.status == ExitStatus.REFUSED
    assert b"hasn't ended: stop it" in refused.stderr
    await running.stop()
    assert (await connected.aside("stream", "-j", job)).status == 0  # until it is final
    assert await connected.aside("rm", "-j", job) == Result(0, b"", b"")
    asked = await connected.aside("query", "-j", job)
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
async def test_arguments_reach_the_job_byte_by_byte(
    connected: Program, client: Client, arguments: list[str]
) -> None:
    separator = min(arguments.index(each) for each in ("--", "-args") if each in arguments)
    local = [*arguments[:separator], *arguments[separator + 1 :]]
    expected = await asyncio.to_thread(subprocess.check_output, local, timeout=10)
    assert await text_of(await client.find(await started(connected, *arguments))) == expected


async def test_output_is_exact(connected: Program, client: Client) -> None:
    script = "import os; os.write(1, bytes(range(256)) * 4000); os.write(1, b'no newline')"
    job = await client.start("python3", "-c", script)
    expected = bytes(range(256)) * 4000 + b"no newline"
    assert await connected.aside("stream", "-j", str(job.id)) == Result(0, expected, b"")


async def test_much_output_is_exact(connected: Program, client: Client) -> None:
    job = await client.start("seq", "1", "1000000")
    shown = await connected.aside("stream", "-j", str(job.id))
    assert (shown.status, shown.stderr) == (0, b"")
    expected = "".join(f"{number}\n" for number in range(1, 1_000_001)).encode()
    assert hashlib.sha256(shown.stdout).digest() == hashlib.sha256(expected).digest()


async def test_the_streams_of_the_job_are_told_apart(connected: Program, client: Client) -> None:
    job = await client.start("sh", "-c", "echo o; echo e >&2; exit 3")
    assert await connected.aside("stream", "-j", str(job.id)) == Result(0, b"o\n", b"e\n")


async def test_options_of_start(connected: Program) -> None:
    script = "echo $A $B; pwd; echo e >&2"
    options = ["--env", "A=1", "--env", "B=ä=", "--directory", "/", "--merged"]
    job = await started(connected, *options, "--", "sh", "-c", script)
    expected = "1 ä=\n/\ne\n".encode()
    assert await connected.aside("stream", "-j", job) == Result(0, expected, b"")


async def test_a_stream_goes_on_from_an_offset(connected: Program, client: Client) -> None:
    started = await client.start("printf", "0123456789")
    await started.wait()
    line = ["stream", "-j", str(started.id)]
    whole, rest, beyond = await connected.at_once(
        line, [*line, "--offset", "7"], [*line, "--offset", "11"]
    )
    assert (whole.stdout, rest.stdout) == (b"0123456789", b"789")
    assert (beyond.status, beyond.stdout) == (ExitStatus.REFUSED, b"")


async def test_control_characters_of_a_command_are_shown_escaped(
    connected: Program, client: Client
) -> None:
    job = str((await client.start("printf", "\033[2J\033]0;t\007")).id)
    summary, as_json, output = await connected.at_once(
        ["query", "-j", job], ["query", "--json", "-j", job], ["stream", "-j", job]
    )
    lines = summary.stdout.decode().splitlines()
    assert all(line.isprintable() for line in lines)
    command = lines[1].removeprefix("command").strip()
    assert command == r"printf $'\x1b[2J\x1b]0;t\x07'"
    assert json.loads(as_json.stdout)["arguments"] == ["\033[2J\033]0;t\007"]
    assert output.stdout == b"\033[2J\033]0;t\007"  # raw: it is asked for


async def test_closed_descriptors_change_no_byte(connected: Program, client: Client) -> None:
    job = str((await client.start("echo", "all")).id)
    programs = [replace(connected, redirected=each) for each in ("<&-", "2>&-", "<&- 2>&-")]
    shown = await asyncio.gather(*(each.aside("stream", "-j", job) for each in programs))
    assert [(each.status, each.stdout) for each in shown] == [(0, b"all\n")] * len(programs)


async def test_an_ipv6_address_in_another_spelling(connected: Program, client: Client) -> None:
    job = str((await client.start("true")).id)
    path = connected.folder / "workerclient.yaml"
    path.write_text(path.read_text().replace("localhost", "[0:0:0:0:0:0:0:1]"))
    assert (await told(connected, job))["jobID"] == job


async def test_the_shown_command_can_be_started_again(connected: Program, client: Client) -> None:
    words = ["printf", "%s|", "a b", "it's", "", "x"]
    job = await client.start(*words)
    shown = await connected.aside("query", "-j", str(job.id))
    command = shown.stdout.decode().splitlines()[1]
    assert shlex.split(command.removeprefix("command")) == words
