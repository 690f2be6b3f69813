"""A part of `make torture`, small enough for every run."""

from pathlib import Path

import pytest

from tests.torture.torture import torture


@pytest.mark.timeout(300)
def test_fifty_kills_of_the_server_under_load_lose_nothing(
    tmp_path: Path, certificates: Path
) -> None:
    report = torture(tmp_path, certificates, seed=1, kills=50, seconds=200, clients=6)
    assert report.faults == []
    assert report.descriptors[0] == report.descriptors[1]
    assert report.jobs > 20
