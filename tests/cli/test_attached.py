"""`run` and `logs` hear each signal, whatever they wait for: an answer, a start, a reader."""

import asyncio
import itertools
import json
import os
import select
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any
from uuid import UUID

import pytest
from grpclib.const import Status

from cli.asked import Asked, ending_heard
from cli.attached import attached
from cli.descriptors import STDOUT
from cli.flow import Flow
from cli.lines import Lines, Look
from cli.statuses import ExitStatus
from gen import workerservice as wire
from tests.cli.program import TIMEOUT, Program, fifo
from tests.client.scripted import Message, Script, answering, serving
from worker import Registry
from worker.state import Chunk, Stream

ID = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
OUTPUT = wire.GetOutputResponse(output=b"x" * 50_000, stream=wire.Stream["STDOUT"])


class Scripts:
    """Of a server whose job prints without end, and of which no stop is answered."""

    def __init__(self) -> None:
        self.is_starting = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.stops: asyncio.Queue[tuple[UUID, timedelta | None]] = asyncio.Queue()
        self.job = UUID(ID)

    @property
    def all(self) -> dict[str, Script]:
        return {"Start": self.start, "GetOutput": self.output, "Stop": self.stop}

    async def start(self, stream: Any) -> None:
        self.job = UUID(bytes=wire.StartRequest().parse(await stream.recv_message()).job_id)
        self.is_starting.set()
        await self.may_start.wait()
        await stream.send_message(Message(bytes(wire.StartResponse(self.job.bytes))))

    async def output(self, stream: Any) -> None:
        await stream.recv_message()
        while True:
            await stream.send_message(Message(bytes(OUTPUT)))

    async def stop(self, stream: Any) -> None:
        asked = wire.StopRequest().parse(await stream.recv_message())
        await self.stops.put((UUID(bytes=asked.job_id), asked.grace_period))
        await asyncio.get_running_loop().create_future()


async def refused(stream: Any) -> None:
    await stream.recv_message()
    await stream.send_trailing_metadata(status=Status.PERMISSION_DENIED, status_message="not you")


@pytest.fixture
async def scripts(program: Program, certificates: Path) -> AsyncIterator[Scripts]:
    scripts = Scripts()
    async with serving(certificates, **scripts.all) as config:  # type: ignore[arg-type]
        program.configure(config)
        yield scripts


@contextmanager
def unread(
    program: Program, *arguments: str, kind: Callable[[], tuple[int, int]] = os.pipe
) -> Iterator[tuple[Popen[bytes], int]]:
    """Its stdout is a pipe or terminal of which nobody reads; the end for writing."""
    reader, writer = kind()
    try:
        with program.popen(*arguments, stdout=writer) as process:
            try:
                yield process, writer
            finally:
                process.kill()
    finally:
        os.close(reader)
        os.close(writer)


async def full(writer: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while select.select([], [writer], [], 0)[1]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def line(process: Popen[bytes]) -> str:
    assert process.stderr
    return (await asyncio.to_thread(process.stderr.readline)).decode()


async def ended(process: Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, TIMEOUT)


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("kind", [os.pipe, os.openpty])
async def test_ctrl_c_is_heard_while_nobody_reads(
    program: Program, kind: Callable[[], tuple[int, int]]
) -> None:
    with unread(program, "logs", ID, kind=kind) as (process, writer):
        await full(writer)
        process.send_signal(signal.SIGINT)
        assert await ended(process) == ExitStatus.INTERRUPTED
        assert "goes on" in await line(process)


async def test_a_signal_stops_the_job_while_nobody_reads(
    program: Program, scripts: Scripts
) -> None:
    with unread(program, "run", "--", "yes") as (process, writer):
        await full(writer)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT):
            assert await scripts.stops.get() == (scripts.job, None)


async def test_the_second_signal_kills_and_the_third_leaves_though_no_stop_is_answered(
    program: Program, scripts: Scripts
) -> None:
    with program.popen("run", "--", "yes", stdout=DEVNULL) as process:
        await scripts.is_starting.wait()
        for grace in (None, timedelta(0)):
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(TIMEOUT):
                assert await scripts.stops.get() == (scripts.job, grace)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == -signal.SIGTERM


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_the_second_signal_leaves_out_the_output_that_nobody_has_read(
    connected: Program, options: list[str]
) -> None:
    """The first part of it is small, or the parts would be as large as a pipe's."""
    pipe, at = os.pipe(), connected.folder / "gate"
    command = ["sh", "-c", f"echo first; read x < {at}; exec yes"]
    with (
        fifo(at) as gate,
        unread(connected, "run", *options, "--", *command, kind=lambda: pipe) as (process, writer),
    ):
        await asyncio.to_thread(select.select, [pipe[0]], [], [], TIMEOUT)
        os.write(gate, b"\n")
        await full(writer)
        process.send_signal(signal.SIGINT)
        job = (await line(process)).split("stopping job ")[1].split(";")[0]
        assert (await connected.aside("wait", job)).status == 128 + signal.SIGTERM
        process.send_signal(signal.SIGINT)
        assert await ended(process) == 128 + signal.SIGTERM
        told = await line(process)
        shown = os.read(pipe[0], 1024 * 1024)
    offset = int(told.split("left out: workerclient logs --since-offset ")[1].split()[0])
    if options:  # no status behind a part of a line
        *whole, _ = shown.split(b"\n")
        assert 0 < offset <= sum(len(json.loads(each)["text"]) for each in whole)
        assert b'"state"' not in shown
    else:
        assert offset == len(shown)


async def test_nothing_is_written_behind_a_part() -> None:
    reader, writer = os.pipe()
    ours = os.dup(STDOUT)
    os.dup2(writer, STDOUT)
    try:
        flow = Flow()
        writing = asyncio.create_task(flow.write(STDOUT, b"x" * 1024 * 1024))
        await full(STDOUT)
        writing.cancel()
        await asyncio.wait([writing])
        os.read(reader, 1024 * 1024)
        flow.write_what_fits(STDOUT, b"behind")
        assert not select.select([reader], [], [], 0)[0]
    finally:
        os.dup2(ours, STDOUT)
        for each in (reader, writer, ours):
            os.close(each)


async def test_who_asks_after_the_end_of_the_job_is_told_of_it(connected: Program) -> None:
    command = ["head", "-c", "100000", "/dev/zero"]
    with unread(connected, "run", "--show-id", "--", *command) as (process, writer):
        job = (await line(process)).split()[-1]
        assert (await connected.aside("wait", job)).status == 0
        await full(writer)
        process.send_signal(signal.SIGINT)
        assert await line(process) == (
            f"workerclient: job {job} has ended; once more leaves the rest of its output out\n"
        )
        process.send_signal(signal.SIGINT)
        assert "left out: workerclient logs --since-offset 65536 " in await line(process)
        assert await ended(process) == ExitStatus.INTERRUPTED


async def test_output_that_is_read_is_whole_though_its_job_is_killed(connected: Program) -> None:
    at = connected.folder / "fifo"
    script = f'trap "" TERM; head -c 100000 /dev/zero; echo > {at}; exec sleep 98756'
    with fifo(at) as printed, connected.popen("run", "--", "sh", "-c", script) as process:
        assert (await asyncio.to_thread(select.select, [printed], [], [], TIMEOUT))[0]
        for said in ("stopping job", "killing job"):
            process.send_signal(signal.SIGINT)
            assert said in await line(process)
        stdout, stderr = await asyncio.to_thread(process.communicate, timeout=TIMEOUT)
    assert (process.returncode, len(stdout), stderr) == (137, 100_000, b"")


async def test_the_third_signal_knows_that_the_job_has_ended(
    program: Program, certificates: Path
) -> None:
    scripts, waits = Scripts(), itertools.count()

    async def wait(stream: Any) -> None:
        if next(waits):  # the first alone is answered
            await asyncio.get_running_loop().create_future()
        await answering(wire.QueryStatusResponse(wire.JobStatus["STOPPED"]))(stream)

    async with serving(certificates, **scripts.all | {"Wait": wait}) as config:
        program.configure(config)
        with unread(program, "run", "--", "yes") as (process, writer):
            await full(writer)
            for said in ("stopping job", "the rest of its output is left out"):
                process.send_signal(signal.SIGINT)
                while said not in await line(process):
                    pass
            process.send_signal(signal.SIGINT)
            assert await ended(process) == ExitStatus.INTERRUPTED
            assert f"job {scripts.job} has ended: query it" in await line(process)


async def test_a_terminal_that_goes_is_told_twice_and_counts_once(
    program: Program, scripts: Scripts
) -> None:
    with program.popen("run", "--", "yes", stdout=DEVNULL) as process:
        await scripts.is_starting.wait()
        for how, grace in ((signal.SIGHUP, None), (signal.SIGINT, timedelta(0))):
            process.send_signal(signal.SIGHUP)
            process.send_signal(how)
            async with asyncio.timeout(TIMEOUT):
                assert await scripts.stops.get() == (scripts.job, grace)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("second", "later", "does_count"),
    [
        pytest.param(signal.SIGTERM, 0.1, False, id="timeout tells us and our group"),
        pytest.param(signal.SIGTERM, 0.3, True, id="a SIGTERM of its own"),
        pytest.param(signal.SIGHUP, 0.1, False, id="a logout is one request"),
        pytest.param(signal.SIGHUP, 0.3, True, id="the terminal goes as well"),
        pytest.param(signal.SIGINT, 0.1, True, id="a person is impatient"),
    ],
)
async def test_what_is_sent_together_is_one_request(
    second: signal.Signals, later: float, *, does_count: bool
) -> None:
    asked = Asked()
    asked.hear(signal.SIGTERM, 7.0)
    asked.hear(second, 7.0 + later)
    assert (asked.once.is_set(), asked.twice.is_set()) == (True, does_count)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_during_the_start_stops_the_job_once_it_is_started(
    program: Program, scripts: Scripts, how: signal.Signals
) -> None:
    scripts.may_start.clear()
    with unread(program, "run", "--", "yes") as (process, _):
        await scripts.is_starting.wait()
        process.send_signal(how)
        assert f"job {scripts.job} is stopped once it is started" in await line(process)
        scripts.may_start.set()
        async with asyncio.timeout(TIMEOUT):
            assert await scripts.stops.get() == (scripts.job, None)


async def test_a_stop_that_fails_when_the_reader_has_gone_is_said(
    program: Program, certificates: Path
) -> None:
    scripts = Scripts()
    async with serving(certificates, **scripts.all | {"Stop": refused}) as config:
        program.configure(config)
        with program.popen("run", "--", "yes") as process:
            assert process.stdout
            await asyncio.to_thread(process.stdout.read, 10)
            process.stdout.close()
            assert await ended(process) == ExitStatus.READER_GONE
            assert f"stopping job {scripts.job}" in await line(process)
            assert f"job {scripts.job} may still run" in await line(process)


async def test_a_fault_beside_the_output_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def faulty() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("a fault")

    monkeypatch.setattr("cli.attached.pieces_of_stdin", faulty)
    async with Registry(tmp_path) as registry:
        job = await registry.start("cat", input=True)
        with pytest.raises(RuntimeError, match="a fault"):
            await attached(job, Asked(), Look(), Flow(), has_input=True)
    assert f"job {job.id} may still run" in capfd.readouterr().err


async def test_a_system_without_signal_handlers_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", missing)
    with ending_heard(Asked()):
        pass


@pytest.mark.parametrize(
    ("look", "offsets"),
    [
        pytest.param(Look(), [3, 8], id="as it stands: all that was written"),
        pytest.param(Look(json=True), [0, 6], id="by lines: from the one that isn't at its end"),
    ],
)
def test_what_was_left_out_begins_behind_what_was_shown(look: Look, offsets: list[int]) -> None:
    lines, found = Lines(UUID(ID), look), []
    for chunk in (Chunk(b"one", 0, Stream.STDOUT), Chunk(b"l\n\ntw", 3, Stream.STDOUT)):
        assert list(lines.take(chunk)) or look.json
        lines.pass_by(chunk)
        found.append(lines.offset)
    assert found == offsets
