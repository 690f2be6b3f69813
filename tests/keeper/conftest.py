from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper.driver import Driver, Keeper, finish, start


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def keeper(state: Path, tmp_path: Path) -> Iterator[Keeper]:
    started = start(state, tmp_path / "log")
    yield started
    finish(started)


@pytest.fixture
def driver(keeper: Keeper) -> Driver:
    return keeper.driver
