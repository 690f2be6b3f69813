"""What a follower reads from a folder: every byte once, whose it is, and what is missing."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.folders import HEADER, Entry, packed, write_output
from worker.jobs.clock import utc
from worker.jobs.reader import MAX_CHUNK, MAX_RECORDS, OutputReader
from worker.jobs.tally import Tally
from worker.keeper.records import Kind
from worker.selection import Selection
from worker.state import Chunk, OutputSize, Stream

OUT, ERR, MERGED = Kind.RUN_STDOUT, Kind.RUN_STDERR, Kind.RUN_MERGED
GAP_OUT, GAP_ERR, EXIT = Kind.GAP_STDOUT, Kind.GAP_STDERR, Kind.EXIT


def read(folder: Path, offset: int = 0, *, tagged: bool = False) -> list[Chunk]:
    reader = OutputReader(folder, Selection(offset=offset, tagged=tagged))
    return [*iter(reader.read, None), *reader.rest()]


def told(chunks: list[Chunk]) -> list[tuple[bytes, int, int]]:
    return [(chunk.data, chunk.offset, chunk.skipped) for chunk in chunks]


@pytest.mark.parametrize(
    ("entries", "chunks"),
    [
        pytest.param([(OUT, 0, 1)], [(b"abcdef", 0, 0)], id="one run"),
        pytest.param(
            [(OUT, 0, 1), (ERR, 2, 2), (OUT, 4, 3)], [(b"abcdef", 0, 0)], id="runs are crossed"
        ),
        pytest.param(
            [(OUT, 0, 1), (GAP_OUT, 2, 9), (OUT, 2, 2)],
            [(b"ab", 0, 0), (b"cdef", 2, 9)],
            id="a gap never is",
        ),
        pytest.param(
            [(OUT, 0, 1), (GAP_OUT, 2, 9), (GAP_ERR, 2, 1), (ERR, 2, 2)],
            [(b"ab", 0, 0), (b"cdef", 2, 10)],
            id="gaps at one place add up",
        ),
        pytest.param([(GAP_OUT, 0, 9), (OUT, 0, 1)], [(b"abcdef", 0, 9)], id="a gap at the start"),
        pytest.param(
            [(OUT, 0, 1), (GAP_OUT, 6, 9)],
            [(b"abcdef", 0, 0), (b"", 6, 9)],
            id="a gap at the end is told alone",
        ),
        pytest.param(
            [(OUT, 0, 1), (EXIT, 3, 0), (GAP_OUT, 4, 2)],
            [(b"abcd", 0, 0), (b"ef", 4, 2)],
            id="the leader's exit changes nothing",
        ),
    ],
)
def test_untagged_chunks(
    tmp_path: Path, entries: list[Entry], chunks: list[tuple[bytes, int, int]]
) -> None:
    write_output(tmp_path, b"abcdef", entries)
    assert told(read(tmp_path)) == chunks
    assert {chunk.stream for chunk in read(tmp_path)} == {Stream.ALL}


@pytest.mark.parametrize(
    ("entries", "chunks"),
    [
        pytest.param(
            [(OUT, 0, 1), (ERR, 2, 2), (OUT, 3, 3)],
            [
                Chunk(b"ab", 0, Stream.STDOUT, utc(1)),
                Chunk(b"c", 2, Stream.STDERR, utc(2)),
                Chunk(b"def", 3, Stream.STDOUT, utc(3)),
            ],
            id="a run is never crossed",
        ),
        pytest.param(
            [(OUT, 0, 1), (OUT, 4, 5)],
            [Chunk(b"abcd", 0, Stream.STDOUT, utc(1)), Chunk(b"ef", 4, Stream.STDOUT, utc(5))],
            id="a later time is another run",
        ),
        pytest.param(
            [(OUT, 0, 1), (ERR, 3, 2), (OUT, 3, 3)],
            [Chunk(b"abc", 0, Stream.STDOUT, utc(1)), Chunk(b"def", 3, Stream.STDOUT, utc(3))],
            id="of several runs at one offset the last counts",
        ),
        pytest.param(
            [(MERGED, 0, 1), (Kind.GAP_MERGED, 3, 7)],
            [
                Chunk(b"abc", 0, Stream.MERGED, utc(1)),
                Chunk(b"def", 3, Stream.MERGED, utc(1), skipped=7),
            ],
            id="a run goes on behind a gap",
        ),
    ],
)
def test_tagged_chunks(tmp_path: Path, entries: list[Entry], chunks: list[Chunk]) -> None:
    write_output(tmp_path, b"abcdef", entries)
    assert read(tmp_path, tagged=True) == chunks


def test_a_chunk_has_at_most_its_size(tmp_path: Path) -> None:
    write_output(tmp_path, bytes(MAX_CHUNK + 1), [(OUT, 0, 1)])
    assert [len(chunk.data) for chunk in read(tmp_path)] == [MAX_CHUNK, 1]


def test_a_gap_is_found_however_far_ahead(tmp_path: Path) -> None:
    runs = [(OUT + position % 2, position, position) for position in range(2000)]
    entries = [(Kind(kind), at, value) for kind, at, value in runs]
    write_output(tmp_path, bytes(3000), [*entries, (GAP_OUT, 2500, 4)])
    assert [(len(chunk.data), chunk.skipped) for chunk in read(tmp_path)] == [(2500, 0), (500, 4)]


def test_a_turn_passes_a_bounded_number_of_runs(tmp_path: Path) -> None:
    size = 3 * MAX_RECORDS
    runs = [(Kind(OUT + position % 2), position, 1) for position in range(size)]
    write_output(tmp_path, bytes(size), runs)
    lengths = [len(chunk.data) for chunk in read(tmp_path)]
    assert sum(lengths) == size
    assert max(lengths) < MAX_RECORDS + 3


def test_a_gap_that_grew_after_it_was_told_is_told_to_the_end(tmp_path: Path) -> None:
    entries = [(OUT, 0, 1), (GAP_OUT, 2, 5)]
    write_output(tmp_path, b"abc", entries)
    reader = OutputReader(tmp_path)
    assert told([*iter(reader.read, None)]) == [(b"ab", 0, 0), (b"c", 2, 5)]
    write_output(tmp_path, b"abc", [(OUT, 0, 1), (GAP_OUT, 2, 7)])
    rest = reader.rest()
    assert rest == [Chunk(b"", 3, skipped=2)]


def test_what_is_written_later_is_read_later(tmp_path: Path) -> None:
    write_output(tmp_path, b"ab", [(OUT, 0, 1)])
    reader = OutputReader(tmp_path, Selection(tagged=True))
    assert [*iter(reader.read, None)] == [Chunk(b"ab", 0, Stream.STDOUT, utc(1))]
    write_output(tmp_path, b"abcd", [(OUT, 0, 1), (ERR, 2, 2)])
    assert [*iter(reader.read, None)] == [Chunk(b"cd", 2, Stream.STDERR, utc(2))]


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff" * 100, id="rubbish"),
        pytest.param(packed([HEADER])[:9], id="cut short"),
        pytest.param(packed([(Kind.HEADER, 2, HEADER[2]), (OUT, 0, 1)]), id="of a newer version"),
    ],
)
async def test_without_an_index_the_bytes_are_still_read(
    tmp_path: Path, index: bytes | None
) -> None:
    (tmp_path / "output").write_bytes(b"abc")
    if index is not None:
        (tmp_path / "index").write_bytes(index)
    assert read(tmp_path) == [Chunk(b"abc", 0)]
    assert read(tmp_path, tagged=True) == [Chunk(b"abc", 0, Stream.MERGED)]
    assert await Tally(tmp_path).sizes() == OutputSize(merged=3)


def test_without_files_there_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def histories() -> Iterator[tuple[int, list[Entry], list[tuple[Stream, int]]]]:
    """Random outputs: size, index, and of each byte the stream and what is missing before it."""
    for seed in range(30):
        chance = random.Random(seed)
        entries: list[Entry] = []
        truth: list[tuple[Stream, int]] = []
        for moment in range(chance.randrange(1, 600)):
            kind = chance.choice([OUT, ERR])
            missing = chance.randrange(1, 5) if chance.random() < 0.1 else 0
            if missing:
                entries.append((chance.choice([GAP_OUT, GAP_ERR]), len(truth), missing))
            if chance.random() < 0.05:
                entries.append((OUT, len(truth), 0))  # a run that nothing followed
            entries.append((kind, len(truth), moment))
            stream = Stream.STDOUT if kind is OUT else Stream.STDERR
            count = chance.randrange(1, 4)
            truth += [(stream, missing), *[(stream, 0)] * (count - 1)]
        entries.insert(chance.randrange(len(entries)), (EXIT, 0, 0))
        yield len(truth), entries, truth


@pytest.mark.parametrize("tagged", [False, True], ids=["untagged", "tagged"])
def test_from_every_offset_the_same_is_told(tmp_path: Path, tagged: bool) -> None:  # noqa: FBT001
    for number, (size, entries, truth) in enumerate(histories()):
        folder = tmp_path / str(number)
        content = bytes(position % 251 for position in range(size))
        write_output(folder, content, entries)
        for offset in {0, 1, size // 3, size // 2, size - 1, size}:
            chunks = read(folder, offset, tagged=tagged)
            assert b"".join(chunk.data for chunk in chunks) == content[offset:]
            assert sum(chunk.skipped for chunk in chunks) == sum(m for _, m in truth[offset:])
            for chunk in chunks:
                place = truth[chunk.offset : chunk.offset + len(chunk.data)]
                assert chunk.skipped == place[0][1]
                assert all(missing == 0 for _, missing in place[1:])
                if tagged:
                    assert {stream for stream, _ in place} == {chunk.stream}


async def test_the_tally_counts_each_byte_for_its_stream(tmp_path: Path) -> None:
    for number, (size, entries, truth) in enumerate(histories()):
        folder = tmp_path / str(number)
        tally = Tally(folder)
        half = len(entries) // 2
        write_output(folder, bytes(entries[half][1]), entries[:half])
        await tally.sizes()  # counts on from here
        write_output(folder, bytes(size), entries)
        streams = [stream for stream, _ in truth]
        assert await tally.sizes() == OutputSize(
            stdout=streams.count(Stream.STDOUT),
            stderr=streams.count(Stream.STDERR),
            dropped=sum(missing for _, missing in truth),
        )
        assert tally.exit == 0


def test_the_end_of_the_index_may_be_reserved_or_not(tmp_path: Path) -> None:
    for reserved, tagged in itertools.product([0, 1, 300], [False, True]):
        write_output(tmp_path, b"abcd", [(OUT, 0, 1), (ERR, 2, 2)], reserved=reserved)
        chunks = read(tmp_path, 3, tagged=tagged)
        assert [(chunk.data, chunk.offset) for chunk in chunks] == [(b"d", 3)]
