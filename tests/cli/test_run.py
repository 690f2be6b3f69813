"""`run` and its kin, as the installed program: stdin, and the verbs of control."""

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program
from worker.client import Client, ClientConfig
from worker.listing import JobFilter


@pytest.fixture
async def program(connected: Program) -> AsyncIterator[Program]:
    """Jobs that bear its label are ended."""
    yield connected
    async with Client(ClientConfig.load(connected.folder / "workerclient.yaml")) as client:
        async for job in client.list(JobFilter(labels={"by": connected.folder.name})):
            await client.stop(job.id, grace_period=0)
            await client.wait(job.id)


async def test_dashes_are_the_jobs(program: Program) -> None:
    words = ["-n", "-j", "-h", "--help", "--json", "--", "--config", "x", "", " ", "a\nb"]
    result = await program.aside("run", "--", "printf", "[%s]", *words)
    assert result.stdout.decode() == "".join(f"[{word}]" for word in words)


async def test_a_stdin_that_fails_is_not_at_its_end(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours, program.popen("run", "--stdin", "--", "cat", stdin=ours.fileno()) as process:
        sender.sendall(b"half of it")
        assert process.stdout
        assert await asyncio.to_thread(os.read, process.stdout.fileno(), 10) == b"half of it"
        # Closed so, it is reset.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.close()
        _, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    stopping, why = stderr.decode().splitlines()
    assert (process.returncode, why) == (
        ExitStatus.OURS,
        "workerclient: can't read stdin: Connection reset by peer",
    )
    job = stopping.split("stopping job ")[1].split(":")[0]
    assert (await program.aside("wait", job)).status == 128 + signal.SIGTERM


async def test_a_stdin_that_is_closed_is_no_empty_one(program: Program) -> None:
    closed = Program(program.folder, program.environment, redirected="<&-")
    result = await closed.aside("run", "--stdin", "--", "cat")
    assert result.status == ExitStatus.OURS
    assert result.stderr.endswith(b"workerclient: can't read stdin: Bad file descriptor\n")
    assert (await closed.aside("run", "--", "cat")).status == 0


async def test_a_terminal_that_has_gone_is_not_the_end_of_stdin(program: Program) -> None:
    """What the job says of its stop is shown before the reason."""
    ours, its = os.openpty()
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('x' * 1_000_000, end='!')))\n"
        "for line in sys.stdin: print(line, end='', flush=True)\n"
        "print('taken for whole')"
    )
    with program.popen("run", "--stdin", "--", "python3", "-c", script, stdin=its) as process:
        os.close(its)
        assert process.stdout
        os.write(ours, b"half of it\n")
        assert await asyncio.to_thread(process.stdout.readline) == b"half of it\n"
        os.close(ours)
        stdout, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert (process.returncode, len(stdout), stdout[-1:]) == (ExitStatus.OURS, 1_000_001, b"!")
    stopping, why = stderr.decode().splitlines()
    assert stopping.endswith("it can't have all of its input")
    assert why == "workerclient: can't read stdin: its terminal has gone"


async def test_ctrl_d_is_the_end_of_stdin(program: Program) -> None:
    ours, its = os.openpty()
    with program.popen("run", "--stdin", "--", "cat", stdin=its) as process:
        os.close(its)
        os.write(ours, b"all of it\n\x04")
        stdout, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    os.close(ours)
    assert (process.returncode, stdout, stderr) == (0, b"all of it\n", b"")


async def test_json_ends_with_the_status(program: Program) -> None:
    result = await program.aside("run", "--json", "--", "printf", "\033]0;t\007\001\x0b")
    *lines, status = map(json.loads, result.stdout.splitlines())
    assert "".join(line["text"] for line in lines) == "\033]0;t\007\001\x0b"
    assert (status["state"], status["exitCode"]) == ("exited", 0)


async def test_what_does_not_know_a_code_has_no_key_for_it(
    program: Program, client: Client
) -> None:
    job = await client.start("sleep", "60")
    running = await program.aside("query", "--json", str(job.id)[:13])
    assert "exitCode" not in json.loads(running.stdout)
    await job.stop(grace_period=0)


async def test_verbs_of_control_from_start_to_removal(program: Program, tmp_path: Path) -> None:
    label = f"by={tmp_path.name}"
    script = "trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done"
    started = await program.aside(
        "start", "--label", label, "--grace", "1", "--", "sh", "-c", script
    )
    job = started.stdout.decode().strip()
    assert (await program.aside("pause", job)).status == 0
    listed = await program.aside("ls", "--label", label)
    assert b"running (paused)" in listed.stdout
    assert (await program.aside("resume", job[:8])).status == 0
    assert (await program.aside("signal", "HUP", "-j", job)).status == 0
    assert (await program.aside("wait", "--timeout", "0.3", job)).status == 124
    assert (await program.aside("stop", "--grace", "0", job)).status == 0
    assert (await program.aside("wait", job)).status == 137
    one, none = await program.at_once(["logs", "--tail", "1", job], ["logs", "--tail", "0", job])
    assert one.stdout in (b"hup\n", b"up\n")
    assert none.stdout == b""
    assert (await program.aside("rm", job)).status == 0
    assert (await program.aside("query", job)).status == 3
