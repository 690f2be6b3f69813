"""`run` and `logs` hear each signal, whatever they wait for: an answer, a start, a reader."""

import asyncio
import os
import select
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest
from grpclib.const import Status

from cli.asked import Asked, ending_heard
from cli.attached import attached
from cli.flow import Flow
from cli.lines import Look
from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program
from tests.cli.unread import ID, Scripts, ended, full, line, unread
from tests.client.scripted import serving
from worker import Registry


async def refused(stream: Any) -> None:
    await stream.recv_message()
    await stream.send_trailing_metadata(status=Status.PERMISSION_DENIED, status_message="not you")


@pytest.fixture
async def scripts(program: Program, certificates: Path) -> AsyncIterator[Scripts]:
    scripts = Scripts()
    async with serving(certificates, **scripts.all) as config:  # type: ignore[arg-type]
        program.configure(config)
        yield scripts


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("kind", [os.pipe, os.openpty])
async def test_ctrl_c_is_heard_while_nobody_reads(
    program: Program, kind: Callable[[], tuple[int, int]]
) -> None:
    ours = kind()
    with unread(program, "logs", ID, kind=lambda: ours) as (process, writer):
        await asyncio.to_thread(select.select, [ours[0]], [], [], TIMEOUT)
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


@pytest.mark.usefixtures("hears_each")
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


@pytest.mark.usefixtures("hears_each")
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
        pytest.param(signal.SIGINT, 0.02, False, id="timeout passes Ctrl-C on"),
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


def test_what_comes_with_the_second_is_no_third() -> None:
    asked = Asked()
    heard = [
        (signal.SIGINT, 7.0),
        (signal.SIGHUP, 8.0),
        (signal.SIGTERM, 8.1),
        (signal.SIGINT, 9.0),
    ]
    assert [asked.hear(*each) for each in heard] == [False, False, False, True]


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
