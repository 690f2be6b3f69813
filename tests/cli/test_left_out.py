"""Who asks twice while nobody reads leaves output out, and is told where it goes on."""

import asyncio
import itertools
import json
import os
import select
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cli.descriptors import STDOUT
from cli.flow import Flow
from cli.lines import Lines, Look
from cli.statuses import ExitStatus
from gen import workerservice as wire
from tests.cli.program import TIMEOUT, Program, fifo
from tests.cli.unread import ID, Scripts, ended, full, line, said, unread
from tests.client.scripted import answering, serving
from worker.state import Chunk, Stream

pytestmark = pytest.mark.usefixtures("hears_each")


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
        told = await said(process, "is left out")
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
        assert "workerclient logs --since-offset 65536 " in await said(process, "left out")
        assert await ended(process) == ExitStatus.INTERRUPTED


async def test_output_that_is_read_is_whole_though_its_job_is_killed(connected: Program) -> None:
    at = connected.folder / "fifo"
    script = f'trap "" TERM; head -c 100000 /dev/zero; echo > {at}; exec sleep 98756'
    options = ["--show-id", "--", "sh", "-c", script]
    with fifo(at) as printed, connected.popen("run", *options) as process:
        await said(process, "job")  # now the client knows that it is started
        assert (await asyncio.to_thread(select.select, [printed], [], [], TIMEOUT))[0]
        for words in ("stopping job", "killing job"):
            process.send_signal(signal.SIGINT)
            assert words in await line(process)
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
            for words in ("stopping job", "the rest of its output is left out"):
                process.send_signal(signal.SIGINT)
                await said(process, words)
            process.send_signal(signal.SIGINT)
            assert await ended(process) == ExitStatus.INTERRUPTED
            assert f"job {scripts.job} has ended: query it" in await line(process)


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
