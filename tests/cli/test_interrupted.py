"""Ctrl-C, and a reader that goes away: one sentence or none, and what the job does is said."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import pytest

from cli.statuses import ExitStatus
from gen import workerservice as wire
from tests.cli.program import PROGRAM, TIMEOUT, Program
from tests.client.scripted import answering, client_of, serving
from tests.client.strangers import listening

pytestmark = pytest.mark.every_python

JOB = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
ONE = wire.GetOutputResponse(output=b"one\n", stream=wire.Stream["STDOUT"])


class Hangs:
    """Answers nothing, but tells that it was asked."""

    def __init__(self, *answers: wire.GetOutputResponse) -> None:
        self.asked = asyncio.Event()
        self._answer = answering(*answers)

    async def __call__(self, stream: Any) -> None:
        await self._answer(stream)
        self.asked.set()
        await asyncio.get_running_loop().create_future()


class Dialled(asyncio.Protocol):
    """Says nothing, so that the handshake doesn't end."""

    def __init__(self) -> None:
        self.dialled = asyncio.Event()

    def data_received(self, _: bytes) -> None:
        self.dialled.set()


async def ended(process: Popen[bytes]) -> tuple[int, str]:
    _, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    return process.returncode, stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "rpc", "said"),
    [
        pytest.param(["query", "-j", JOB], "QueryStatus", "interrupted", id="query"),
        pytest.param(
            ["stop", "-j", JOB], "Stop", f"job {JOB} may have been asked to end: query", id="stop"
        ),
        pytest.param(["rm", "-j", JOB], "Remove", f"job {JOB} may have been removed", id="rm"),
        pytest.param(["start", "--", "ls"], "Start", "may have been started: query it", id="start"),
        pytest.param(["stream", "-j", JOB], "GetOutput", f"job {JOB} goes on", id="stream"),
    ],
)
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_ctrl_c_says_what_may_have_happened(
    program: Program, certificates: Path, times: int, arguments: list[str], rpc: str, said: str
) -> None:
    script = Hangs()
    async with serving(certificates, **{rpc: script}) as config:  # type: ignore[arg-type]
        program.configure(config)
        with program.popen(*arguments) as process:
            await script.asked.wait()
            for _ in range(times):
                process.send_signal(signal.SIGINT)
            status, stderr = await ended(process)
    assert status == ExitStatus.INTERRUPTED
    if times == 1:
        assert len(stderr.splitlines()) == 1
        assert said in stderr
    assert "Traceback" not in stderr


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The end for writing; nobody reads."""
    reader, writer = os.pipe()
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, b"x" * select.PIPE_BUF)
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("verb", ["logs", "query"])
async def test_ctrl_c_ends_it_though_nobody_reads_what_is_said(
    program: Program, certificates: Path, full_pipe: int, verb: str
) -> None:
    script = Hangs()
    async with serving(certificates, GetOutput=script, QueryStatus=script) as config:
        program.configure(config)
        with program.popen(verb, JOB, stderr=full_pipe) as process:
            await script.asked.wait()
            process.send_signal(signal.SIGINT)
            try:
                assert await asyncio.to_thread(process.wait, TIMEOUT) == ExitStatus.INTERRUPTED
            finally:
                process.kill()


def test_a_notice_waits_for_no_reader(full_pipe: int) -> None:
    """It is said from within the loop, which hears no signal meanwhile."""
    script = (
        "import logging; from cli.session import say_notices\n"
        "say_notices(); logging.getLogger('worker.client').warning('a notice')"
    )
    subprocess.run([sys.executable, "-c", script], stderr=full_pipe, timeout=TIMEOUT, check=True)


@pytest.mark.parametrize("arguments", [["run", "--", "ls"], ["start", "--", "ls"], ["rm", JOB]])
async def test_ctrl_c_before_there_is_a_connection_speaks_of_no_job(
    program: Program, certificates: Path, arguments: list[str]
) -> None:
    silent = Dialled()
    async with listening(lambda: silent) as address:
        program.configure(client_of(certificates, address))
        with program.popen(*arguments) as process:
            await silent.dialled.wait()
            process.send_signal(signal.SIGINT)
            status, stderr = await ended(process)
    assert status == ExitStatus.INTERRUPTED
    assert stderr == "workerclient: interrupted: nothing was asked for yet\n"


def test_ctrl_c_before_it_is_ready_is_quiet(program: Program, tmp_path: Path) -> None:
    """Its modules are still being imported: the interpreter's own start is all that is shorter."""
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with program.popen("query", env=environment) as process:
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, stderr) == (ExitStatus.INTERRUPTED, b"")


def test_ctrl_c_while_the_command_line_is_read_is_quiet(program: Program, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, typer.main\n"
        "typer.main.get_command = lambda _: os.kill(os.getpid(), signal.SIGINT)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with program.popen("query", env=environment) as process:
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, stderr) == (ExitStatus.INTERRUPTED, b"")


def test_where_ctrl_c_is_ignored_it_stays_so(tmp_path: Path) -> None:
    """As in a shell's background."""
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT); x")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    with Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", PROGRAM, "query"],
        env=environment,
        stdout=DEVNULL,
        stderr=PIPE,
    ) as process:
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert b"NameError" in stderr  # so far it came


@pytest.mark.parametrize("sentence", ["one", "nothing"])
async def test_a_reader_that_goes_away_ends_a_silent_stream(
    program: Program, certificates: Path, sentence: str
) -> None:
    script = Hangs(*([ONE] if sentence == "one" else []))
    async with serving(certificates, GetOutput=script) as config:
        program.configure(config)
        with program.popen("stream", "-j", JOB) as process:
            await script.asked.wait()
            assert process.stdout
            if sentence == "one":
                assert await asyncio.to_thread(process.stdout.readline) == b"one\n"
            process.stdout.close()
            assert process.stderr
            stderr = await asyncio.to_thread(process.stderr.read)
            status = await asyncio.to_thread(process.wait, TIMEOUT)
    assert (status, stderr) == (ExitStatus.READER_GONE, b"")
