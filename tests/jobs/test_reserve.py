"""The reserve on a real disk that is small: what it takes, gives, and takes again."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.test_disk import disk, fill
from worker.errors import NoRoom
from worker.jobs.reserve import Reserve

SIZE = 256 * 1024


@pytest.fixture
def reserve(tmp_path: Path) -> Iterator[Reserve]:
    with (
        disk(tmp_path / "state", f"size={16 * SIZE}") as state,
        closing(sqlite3.connect(state / "jobs.db", isolation_level=None)) as database,
    ):
        yield Reserve(state / "reserve", database)


def size_of(reserve: Reserve) -> int:
    return reserve._path.stat().st_blocks * 512 if reserve._path.exists() else 0


def test_it_takes_a_part_of_a_disk_and_again_when_somebody_deletes_it(reserve: Reserve) -> None:
    for _ in range(2):
        reserve.take()
        assert size_of(reserve) == SIZE
        reserve._path.unlink()


def test_it_takes_nothing_where_less_than_as_much_would_be_left(reserve: Reserve) -> None:
    filler = reserve._path.with_name("filler")
    fill(filler)
    os.truncate(filler, filler.stat().st_size - SIZE * 3 // 2)
    reserve.take()
    assert size_of(reserve) == 0
    os.truncate(filler, filler.stat().st_size - SIZE)
    reserve.take()
    assert size_of(reserve) == SIZE


def test_it_gives_no_more_than_is_needed_and_takes_back_what_nobody_has_taken(
    reserve: Reserve,
) -> None:
    reserve.take()
    fill(reserve._path.with_name("filler"))
    given: list[int] = []

    def remove() -> str:
        given.append(SIZE - size_of(reserve))
        if given[-1] < SIZE // 2:
            raise NoRoom("database or disk is full")
        return "removed"

    assert reserve.helping(remove) == "removed"
    assert (given[:2], given[-1], size_of(reserve)) == ([0, 0], SIZE // 2, SIZE)


def test_all_of_it_may_be_too_little(reserve: Reserve) -> None:
    reserve.take()

    def remove() -> None:
        raise NoRoom(f"{size_of(reserve)} are left")

    with pytest.raises(NoRoom, match=r"^0 are left$"):
        reserve.helping(remove)
    assert size_of(reserve) == SIZE
