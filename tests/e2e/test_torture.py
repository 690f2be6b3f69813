"""A part of `make torture`, small enough for every run; and each of its windows by itself."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.service import serving
from tests.torture.jobs import Known
from tests.torture.torture import client_of, fault_points, torture
from tests.torture.watching import run_one
from worker.jobs.fault import KILLED, POINTS


@pytest.mark.timeout(300)
def test_fifty_kills_of_the_server_under_load_lose_nothing(
    tmp_path: Path, certificates: Path
) -> None:
    report = torture(tmp_path, certificates, seed=1, kills=50, seconds=200, clients=6)
    assert report.faults == []
    assert report.descriptors[0] == report.descriptors[1]
    assert report.kills >= 50
    assert report.jobs > 20


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_in_a_window_loses_nothing(
    tmp_path: Path, certificates: Path, point: str
) -> None:
    """Seldom ten times in a row: each start that fails waits twice as long for the next."""
    with fault_points({point: 0.25}), serving(tmp_path, certificates) as service:
        async with client_of(service) as client, asyncio.timeout(100):
            while f"{KILLED}{point}\n" not in service.log.read_text():
                known = replace(Known.drawn(random.Random(1)), is_to_be_removed=True)
                assert await run_one(client, known, tmp_path / "starts") == []
