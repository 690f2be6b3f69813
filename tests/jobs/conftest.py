import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from worker import Registry


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No process and no descriptor stays."""
    before = children(), descriptors()
    yield
    assert (children(), descriptors()) == before


def children() -> set[str]:
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {pid for pid in pids if not is_service(pid)}


def is_service(pid: str) -> bool:
    """A keeper that listens: another folder's tests keep theirs until all tests have run."""
    try:
        return b"\0--listen\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:  # it was reaped meanwhile
        return False


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def registry(state: Path) -> AsyncIterator[Registry]:
    async with Registry(state) as registry:
        yield registry
