"""Where a job's output goes, and with which status its end is told."""

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Status

from cli.statuses import ExitStatus
from gen import workerservice as wire
from tests.cli.program import TIMEOUT, Program
from tests.client.scripted import Message, answering, serving

ID = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
OTHER = "7d1e7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
END = wire.GetOutputResponse(end=wire.OutputEnd(0))


def status(state: str, **fields: Any) -> wire.QueryStatusResponse:
    return wire.QueryStatusResponse(job_status=wire.JobStatus[state], **fields)


def output(data: bytes, stream: str = "STDOUT", **fields: Any) -> wire.GetOutputResponse:
    return wire.GetOutputResponse(output=data, stream=wire.Stream[stream], **fields)


async def test_stdout_and_stderr_of_the_job_go_to_ours(
    program: Program, certificates: Path
) -> None:
    everything = bytes(range(256))
    chunks = (
        output(everything),
        output(b"\xffe", "STDERR"),
        output(b"\r\x00m", "MERGED"),
        output(b"a", "ALL"),
        output(b"x", "UNSPECIFIED"),
    )
    async with serving(
        certificates, GetOutput=answering(*chunks, END), QueryStatus=answering(status("EXITED"))
    ) as config:
        program.configure(config)
        result = await program.aside("stream", "-j", ID)
    assert result.status == 0
    assert result.stdout == everything + b"\r\x00max"
    assert result.stderr == b"\xffe"


async def test_tagged_output_is_asked_for_from_the_offset(
    program: Program, certificates: Path
) -> None:
    asked = []

    async def script(stream: Any) -> None:
        asked.append(wire.GetOutputRequest().parse(await stream.recv_message()))
        await stream.send_message(Message(bytes(END)))

    async with serving(
        certificates, GetOutput=script, QueryStatus=answering(status("STOPPED"))
    ) as config:
        program.configure(config)
        await program.aside("stream", "-j", ID, "--offset", "12")
    assert (asked[0].tagged, asked[0].offset, asked[0].no_follow) == (True, 12, False)


async def test_what_was_dropped_is_said(program: Program, certificates: Path) -> None:
    chunks = output(b"a"), output(b"b", offset=1, skipped=1000), END
    async with serving(
        certificates, GetOutput=answering(*chunks), QueryStatus=answering(status("EXITED"))
    ) as config:
        program.configure(config)
        result = await program.aside("stream", "-j", ID)
    assert (result.status, result.stdout) == (0, b"ab")
    assert "1000 bytes of output were dropped" in result.said


async def test_a_gap_stands_between_the_texts_around_it(
    program: Program, certificates: Path
) -> None:
    chunks = output(b"a"), output(b"b", offset=1, skipped=1000), END
    async with serving(
        certificates, GetOutput=answering(*chunks), QueryStatus=answering(status("EXITED"))
    ) as config:
        program.configure(config)
        result = await program.aside("logs", "--json", ID)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    told = [line.get("text", line.get("skipped")) for line in lines]
    assert (told, [line["offset"] for line in lines]) == (["a", 1000, "b"], [0, 1, 1])


async def test_what_was_dropped_of_one_of_several_bears_its_name(
    program: Program, certificates: Path
) -> None:
    chunks = output(b"a", offset=1, skipped=1000), END
    async with serving(
        certificates, GetOutput=answering(*chunks), QueryStatus=answering(status("EXITED"))
    ) as config:
        program.configure(config)
        result = await program.aside("logs", ID, OTHER)
    told = {line.split(" ", 2)[1] for line in result.stderr.decode().splitlines()}
    assert told == {ID[:8], OTHER[:8]}


async def test_the_status_of_a_lost_job_is_1(program: Program, certificates: Path) -> None:
    lost = status("UNKNOWN", outcome=wire.Outcome["LOST"], reason="the machine stopped")
    async with serving(
        certificates, GetOutput=answering(output(b"a"), END), QueryStatus=answering(lost)
    ) as config:
        program.configure(config)
        result = await program.aside("stream", "-j", ID)
    assert (result.status, result.stdout) == (ExitStatus.LOST, b"a")
    assert "the machine stopped" in result.said


async def test_a_job_that_is_removed_behind_its_last_byte_is_status_0(
    program: Program, certificates: Path
) -> None:
    async def removed(stream: Any) -> None:
        await stream.recv_message()
        await stream.send_trailing_metadata(status=Status.NOT_FOUND, status_message="removed")

    async with serving(
        certificates, GetOutput=answering(output(b"all"), END), QueryStatus=removed
    ) as config:
        program.configure(config)
        result = await program.aside("stream", "-j", ID)
    assert (result.status, result.stdout, result.stderr) == (ExitStatus.DONE, b"all", b"")


async def test_a_stream_cut_short_is_never_status_0(program: Program, certificates: Path) -> None:
    async with serving(certificates, GetOutput=answering(output(b"half"))) as config:
        program.configure(config)
        result = await program.aside("stream", "-j", ID)
    assert (result.status, result.stdout) == (ExitStatus.UNAVAILABLE, b"half")
    assert "broke off at offset 4" in result.said


async def test_the_unfinished_line_of_a_stream_that_breaks_off_is_shown(
    program: Program, certificates: Path
) -> None:
    async with serving(certificates, GetOutput=answering(output(b"half"))) as config:
        program.configure(config)
        result = await program.aside("stream", "--json", "-j", ID)
    assert (result.status, json.loads(result.stdout)["text"]) == (ExitStatus.UNAVAILABLE, "half")


async def test_the_unfinished_line_at_a_ctrl_c_is_shown(
    program: Program, certificates: Path
) -> None:
    async def silent(stream: Any) -> None:
        await answering(output(b"one\nhalf"))(stream)
        await asyncio.get_running_loop().create_future()

    async with serving(certificates, GetOutput=silent) as config:
        program.configure(config)
        with program.popen("stream", "--json", "-j", ID) as process:
            assert process.stdout is not None
            assert b"one" in await asyncio.to_thread(process.stdout.readline)
            process.send_signal(signal.SIGINT)
            assert json.loads(await asyncio.to_thread(process.stdout.read))["text"] == "half"


async def test_an_unknown_job_is_status_3(program: Program, certificates: Path) -> None:
    async def script(stream: Any) -> None:
        await stream.recv_message()
        await stream.send_trailing_metadata(
            status=Status.NOT_FOUND, status_message="no job \x1b[2J"
        )

    async with serving(certificates, GetOutput=script) as config:
        program.configure(config)
        result = await program.aside("stream", "-j", ID)
    assert result.status == ExitStatus.NOT_FOUND
    assert result.said == r"no job \x1b[2J"


async def endless(stream: Any) -> None:
    await stream.recv_message()
    while True:
        await stream.send_message(Message(bytes(output(b"x" * 50_000))))


async def test_a_reader_that_goes_away_ends_it_silently(
    program: Program, certificates: Path
) -> None:
    async with serving(certificates, GetOutput=endless) as config:
        program.configure(config)
        with program.popen("stream", "-j", ID) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            await asyncio.to_thread(process.stdout.read, 10)
            process.stdout.close()
            ended = await asyncio.to_thread(process.wait, TIMEOUT)
            assert (ended, process.stderr.read()) == (ExitStatus.READER_GONE, b"")


async def test_a_full_disk_ends_it_with_one_sentence(program: Program, certificates: Path) -> None:
    async with serving(certificates, GetOutput=endless) as config:
        program.configure(config)
        result = await replace(program, redirected=">/dev/full").aside("stream", "-j", ID)
    assert result.status == ExitStatus.CANNOT_WRITE
    assert result.said == "can't write to stdout: No space left on device"


async def test_ctrl_c_detaches_and_says_that_the_job_goes_on(
    program: Program, certificates: Path
) -> None:
    async def silent(stream: Any) -> None:
        await answering(output(b"one\n"))(stream)
        await asyncio.get_running_loop().create_future()

    async with serving(certificates, GetOutput=silent) as config:
        program.configure(config)
        with program.popen("stream", "-j", ID) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            # Each chunk is there at once, though no line and no buffer is full.
            assert await asyncio.to_thread(process.stdout.read, 4) == b"one\n"
            process.send_signal(signal.SIGINT)
            ended = await asyncio.to_thread(process.wait, TIMEOUT)
            said = process.stderr.read().decode()
    assert ended == ExitStatus.INTERRUPTED
    assert f"job {ID} goes on" in said
    assert len(said.splitlines()) == 1


async def test_a_pipe_that_is_non_blocking_loses_nothing(
    program: Program, certificates: Path
) -> None:
    chunks = [output(b"x" * 200_000, offset=200_000 * number) for number in range(5)]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    async with serving(
        certificates, GetOutput=answering(*chunks, END), QueryStatus=answering(status("EXITED"))
    ) as config:
        program.configure(config)
        with program.popen("stream", "-j", ID, stdout=writer) as process:
            os.close(writer)
            with os.fdopen(reader, "rb") as output_of_it:
                written = await asyncio.to_thread(output_of_it.read)
            assert await asyncio.to_thread(process.wait, TIMEOUT) == 0
    assert len(written) == 1_000_000


async def started(stream: Any) -> None:
    request = wire.StartRequest().parse(await stream.recv_message())
    await stream.send_message(Message(bytes(wire.StartResponse(job_id=request.job_id))))


async def test_start_prints_the_id_alone(program: Program, certificates: Path) -> None:
    async with serving(certificates, Start=started) as config:
        program.configure(config)
        result = await program.aside("start", "--", "ls", "-la")
    assert (result.status, result.stderr) == (0, b"")
    assert len(result.stdout.decode().strip()) == len(ID)
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize("redirected", [">&-", ">/dev/full"])
async def test_an_id_that_cant_be_printed_is_said(
    program: Program, certificates: Path, redirected: str
) -> None:
    async with serving(certificates, Start=started) as config:
        program.configure(config)
        result = await replace(program, redirected=redirected).aside("start", "--", "ls")
    assert result.status == ExitStatus.CANNOT_WRITE
    assert b" is started" in result.stderr


async def test_a_start_that_broke_off_at_a_server_that_cant_resume(
    program: Program, certificates: Path
) -> None:
    async def cut(stream: Any) -> None:
        await stream.recv_message()
        stream._stream._transport.abort()

    async with serving(certificates, Start=cut) as config:
        program.configure(config)
        result = await program.aside("start", "--", "ls")
    assert (result.status, result.stdout) == (ExitStatus.REFUSED, b"")
    assert "look there whether it runs" in result.said


async def test_a_state_of_a_newer_server_is_shown_as_such(
    program: Program, certificates: Path
) -> None:
    answer = bytes(wire.QueryStatusResponse(command_name="ls", exit_code=-1)) + b"\x20\x63"
    async with serving(certificates, QueryStatus=answering(answer)) as config:
        program.configure(config)
        shown, told = await program.at_once(["query", "-j", ID], ["query", "--json", "-j", ID])
    assert (shown.status, told.status) == (0, 0)
    assert b"unknown(99)" in shown.stdout
    assert b'"state": "unknown(99)"' in told.stdout
