"""One stream, the last bytes, the last lines: which bytes of an output, and where they are."""

import asyncio
import os
from asyncio import TaskGroup
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.folders import Entry, write_output
from tests.jobs.scripts import wait_for
from worker import Registry
from worker.errors import InvalidRequest
from worker.jobs import tail
from worker.jobs.reader import MAX_CHUNK, MAX_RECORDS, OutputReader
from worker.jobs.tail import LOOKED_THROUGH, tail_offset
from worker.keeper.records import Kind
from worker.selection import Selection
from worker.spec import OutputMode
from worker.state import Chunk, Stream

OUT, ERR = Kind.RUN_STDOUT, Kind.RUN_STDERR
GAP_OUT, GAP_ERR = Kind.GAP_STDOUT, Kind.GAP_STDERR
RUNS: list[Entry] = [(OUT, 0, 1), (ERR, 2, 2), (OUT, 5, 3), (ERR, 9, 4)]
OUTPUT = b"oo" + b"eee" + b"oooo" + b"e"


def chunks(folder: Path, **options: Any) -> list[tuple[bytes, int, int]]:
    reader = OutputReader(folder, Selection(**options))
    found = [*iter(reader.read, None), *reader.rest()]
    return [(chunk.data, chunk.offset, chunk.skipped) for chunk in found]


@pytest.mark.parametrize(
    ("stream", "offset", "expected"),
    [
        (Stream.STDOUT, 0, [(b"oo", 0, 0), (b"oooo", 5, 0), (b"", 10, 0)]),
        (Stream.STDERR, 0, [(b"eee", 2, 0), (b"e", 9, 0)]),
        (Stream.STDOUT, 1, [(b"o", 1, 0), (b"oooo", 5, 0), (b"", 10, 0)]),
        (Stream.STDOUT, 3, [(b"oooo", 5, 0), (b"", 10, 0)]),
        (Stream.STDERR, 10, []),
    ],
    ids=str,
)
def test_one_stream_keeps_its_places_in_the_whole(
    tmp_path: Path, stream: Stream, offset: int, expected: list[tuple[bytes, int, int]]
) -> None:
    write_output(tmp_path, OUTPUT, RUNS)
    assert chunks(tmp_path, stream=stream, offset=offset) == expected


def test_only_what_the_selected_stream_lacks_is_told(tmp_path: Path) -> None:
    write_output(
        tmp_path, b"ooeo", [(OUT, 0, 1), (GAP_ERR, 2, 7), (ERR, 2, 2), (GAP_OUT, 3, 5), (OUT, 3, 3)]
    )
    assert chunks(tmp_path, stream=Stream.STDOUT) == [(b"oo", 0, 0), (b"o", 3, 5)]
    assert chunks(tmp_path, stream=Stream.STDERR) == [(b"e", 2, 7), (b"", 4, 0)]


def test_much_of_another_stream_is_passed_with_a_word_now_and_then(tmp_path: Path) -> None:
    write_output(tmp_path, bytes(3 * MAX_CHUNK) + b"e", [(OUT, 0, 1), (ERR, 3 * MAX_CHUNK, 2)])
    found = chunks(tmp_path, stream=Stream.STDERR)
    assert [offset for data, offset, _ in found if not data] == [
        MAX_CHUNK,
        2 * MAX_CHUNK,
        3 * MAX_CHUNK,
    ]
    assert found[-1] == (b"e", 3 * MAX_CHUNK, 0)


def test_one_turn_passes_a_bounded_number_of_runs(tmp_path: Path) -> None:
    runs = [(OUT, offset, 1) for offset in range(3 * MAX_RECORDS)]
    write_output(tmp_path, bytes(3 * MAX_RECORDS) + b"e", [*runs, (ERR, 3 * MAX_RECORDS, 2)])
    found = chunks(tmp_path, stream=Stream.STDERR)
    assert found == [
        *((b"", count * MAX_RECORDS, 0) for count in (1, 2, 3)),
        (b"e", 3 * MAX_RECORDS, 0),
    ]


@pytest.mark.parametrize(
    ("stream", "count", "offset"),
    [
        (Stream.ALL, 0, 10),
        (Stream.ALL, 3, 7),
        (Stream.ALL, 10**9, 0),
        (Stream.STDOUT, 0, 10),
        (Stream.STDOUT, 1, 8),
        (Stream.STDOUT, 5, 1),
        (Stream.STDERR, 2, 4),
        (Stream.STDERR, 10**9, 2),
    ],
    ids=str,
)
def test_where_the_last_bytes_begin(
    tmp_path: Path, stream: Stream, count: int, offset: int
) -> None:
    write_output(tmp_path, OUTPUT, RUNS)
    assert tail_offset(tmp_path, Selection(stream=stream, tail_bytes=count)) == offset


@pytest.mark.parametrize(
    ("output", "count", "expected"),
    [
        (b"a\nb\nc\n", 0, b""),
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 10**9, b"a\nb\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"\n", 1, b"\n"),
        (b"", 5, b""),
        (b"x" * 200_000 + b"\nend", 1, b"end"),
        (b"first\n" + b"x" * 200_000, 1, b"x" * 200_000),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_where_the_last_lines_begin(
    tmp_path: Path, output: bytes, count: int, expected: bytes
) -> None:
    write_output(tmp_path, output, [(OUT, 0, 1)])
    offset = tail_offset(tmp_path, Selection(tail_lines=count))
    assert output[offset:] == expected


def test_lines_of_one_stream_are_its_own(tmp_path: Path) -> None:
    write_output(
        tmp_path,
        b"1\ne\n2\ne\n3",
        [(OUT, 0, 1), (ERR, 2, 2), (OUT, 4, 3), (ERR, 6, 4), (OUT, 8, 5)],
    )
    # Right behind the line before: what lies between is the other stream's.
    assert tail_offset(tmp_path, Selection(stream=Stream.STDOUT, tail_lines=2)) == 2
    assert tail_offset(tmp_path, Selection(stream=Stream.STDERR, tail_lines=1)) == 4


def test_no_more_than_16_mib_are_looked_through(tmp_path: Path) -> None:
    write_output(tmp_path, b"\n" + bytes(LOOKED_THROUGH), [(OUT, 0, 1)])
    assert tail_offset(tmp_path, Selection(tail_lines=5)) == 1


def test_of_many_small_pieces_no_more_than_16_mib_either(tmp_path: Path) -> None:
    runs = [((OUT, ERR)[number % 2], number * 2**20, 1) for number in range(40)]
    write_output(tmp_path, bytes(40 * 2**20), runs)
    offset = tail_offset(tmp_path, Selection(stream=Stream.STDERR, tail_lines=5))
    assert offset == 40 * 2**20 - 31 * 2**20


def test_a_tail_looks_through_a_bounded_number_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RUNS", 3)
    write_output(tmp_path, OUTPUT, [*RUNS, (OUT, 10, 5), (OUT, 11, 6)])
    assert tail_offset(tmp_path, Selection(stream=Stream.STDERR, tail_bytes=10)) == 9
    assert tail_offset(tmp_path, Selection(stream=Stream.STDERR, tail_lines=10)) == 9


async def test_tails_hold_up_nobody_else(registry: Registry, state: Path) -> None:
    job = await registry.start("true")
    await job.wait()
    path = state / "jobs" / str(job.id) / "output"
    path.unlink()
    os.mkfifo(path)  # who opens it waits for a writer
    outputs = [job.output(tail_bytes=1) for _ in range(40)]
    async with TaskGroup() as tasks:
        firsts = [tasks.create_task(anext(each)) for each in outputs]
        try:
            async with asyncio.timeout(10):
                await (await registry.start("true")).wait()
        finally:
            writer = os.open(path, os.O_RDWR)
    os.close(writer)
    assert [first.result() for first in firsts] == [Chunk(b"", 0)] * 40
    for each in outputs:
        await each.aclose()


def test_without_files_a_tail_is_empty(tmp_path: Path) -> None:
    assert tail_offset(tmp_path, Selection(tail_lines=5)) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"offset": -1},
        {"offset": 2**64},
        {"stream": Stream.MERGED},
        {"tail_bytes": -1},
        {"tail_lines": -1},
        {"tail_bytes": 1, "tail_lines": 1},
        {"offset": 1, "tail_lines": 0},
    ],
    ids=str,
)
def test_what_can_not_be_selected(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        Selection(**options)


async def read(registry: Registry, script: str, **options: Any) -> bytes:
    job = await registry.start("sh", "-c", script)
    return b"".join([chunk.data async for chunk in job.output(**options)])


async def test_one_stream_is_followed_to_its_end(registry: Registry) -> None:
    script = "for i in 1 2 3; do echo out; echo err >&2; done"
    assert await read(registry, script, stream=Stream.STDERR) == b"err\n" * 3
    assert await read(registry, "true", stream=Stream.STDERR) == b""


async def test_a_tail_begins_with_its_place_and_goes_on_live(registry: Registry) -> None:
    job = await registry.start(
        "sh", "-c", "echo 1; echo 2; echo ready; read x; echo more", input=True
    )
    await wait_for(job, b"ready")
    output = job.output(tail_lines=2)
    assert await anext(output) == Chunk(b"", 2)
    assert (await anext(output)).data == b"2\nready\n"
    await job.send_input(b"go\n")
    assert b"".join([chunk.data async for chunk in output]) == b"more\n"


async def test_merged_streams_can_not_be_told_apart(registry: Registry) -> None:
    job = await registry.start("true", output_mode=OutputMode.MERGED)
    with pytest.raises(InvalidRequest, match="has merged them"):
        await anext(job.output(stream=Stream.STDOUT))


async def test_lines_are_whole_however_long(registry: Registry) -> None:
    job = await registry.start(
        "python3", "-c", "for i in range(50): print('x' * 90_000)\nprint('end', end='')"
    )
    lines = [line async for line in job.lines()]
    assert lines == [b"x" * 90_000] * 50 + [b"end"]


def test_what_was_dropped_at_the_end_is_told_apart_from_what_was_passed_over(
    tmp_path: Path,
) -> None:
    """Who goes on from there is told it again, and takes off what it had been told there."""
    write_output(tmp_path, b"ooeee", [(OUT, 0, 1), (ERR, 2, 2), (GAP_OUT, 5, 7)])
    assert chunks(tmp_path, stream=Stream.STDOUT) == [(b"oo", 0, 0), (b"", 5, 0), (b"", 5, 7)]
    assert chunks(tmp_path, stream=Stream.STDOUT, offset=5) == [(b"", 5, 7)]
