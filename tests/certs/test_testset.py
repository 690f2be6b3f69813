from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs import testset
from certs.authority import new_authority
from certs.folder import load_pair, write_pair
from certs.issue import DAYS
from certs.testset import make_test_set
from worker.errors import BadConfig

NOW = datetime.now(UTC)
FILES = {f"{name}.{end}" for name in testset.NAMES for end in ("key", "pem")}


@pytest.fixture
def folder(certificates: Path, tmp_path: Path) -> Path:
    return shutil.copytree(certificates, tmp_path / "test")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_is_there(folder: Path) -> None:
    assert {
        *("ca.pem", "ca.key", "server.pem", "server.key", "full.pem", "full.key"),
        *("readonly.pem", "readonly.key", "norole.pem", "norole.key"),
    } == FILES
    assert contents(folder).keys() == FILES


@pytest.mark.parametrize("left", [timedelta(days=DAYS), timedelta(days=1, hours=1)])
def test_what_is_valid_for_a_day_is_left_alone(folder: Path, left: timedelta) -> None:
    before = contents(folder)
    assert not make_test_set(folder, NOW + timedelta(days=DAYS) - left)
    assert contents(folder) == before


def swap(folder: Path) -> None:
    shutil.copy(folder / "full.key", folder / "readonly.key")


def another_authority(folder: Path) -> None:
    """What is left where making it anew was cut short."""
    authority = new_authority(NOW, name=testset.AUTHORITY)
    write_pair(folder, "ca", authority, replace=True)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: (folder / "norole.key").unlink(), id="a key is missing"),
        pytest.param(lambda folder: (folder / "ca.pem").unlink(), id="the authority is missing"),
        pytest.param(lambda folder: (folder / "full.pem").write_text("x"), id="not PEM"),
        pytest.param(lambda folder: (folder / "full.key").write_text(""), id="an empty key"),
        pytest.param(swap, id="a key of another"),
        pytest.param(another_authority, id="another authority"),
    ],
)
def test_what_is_broken_is_made_anew(folder: Path, spoil: Callable[[Path], object]) -> None:
    before = contents(folder)
    spoil(folder)
    assert make_test_set(folder, NOW)
    after = contents(folder)
    assert after.keys() == FILES
    assert not set(before.values()) & set(after.values())
    assert not make_test_set(folder, NOW)


def test_what_ends_within_a_day_is_made_anew(folder: Path) -> None:
    later = NOW + timedelta(days=DAYS) - timedelta(hours=23)
    assert make_test_set(folder, later)
    assert not make_test_set(folder, later)


def test_another_authoritys_files_are_not_replaced(tmp_path: Path) -> None:
    precious = new_authority(NOW)
    write_pair(tmp_path, "ca", precious)
    with pytest.raises(BadConfig, match=f"{tmp_path}/ca.pem is no test certificate"):
        make_test_set(tmp_path, NOW)
    assert load_pair(tmp_path, "ca").certificate == precious.certificate
    assert len(contents(tmp_path)) == 2
