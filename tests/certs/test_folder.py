from __future__ import annotations

import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.authority import Pair, new_authority
from certs.folder import load_authority, load_pair, make_folder, write_pair
from certs.issue import client_certificate
from worker.errors import BadConfig

NOW = datetime.now(UTC)
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.fixture(scope="module")
def authority() -> Pair:
    return new_authority(NOW)


@pytest.fixture
def folder(authority: Pair, tmp_path: Path) -> Path:
    write_pair(tmp_path, "ca", authority)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_what_is_read(folder: Path, authority: Pair) -> None:
    found = load_pair(folder, "ca")
    assert found.certificate == authority.certificate
    assert found.key.private_numbers() == authority.key.private_numbers()


@pytest.mark.parametrize("existing", ["ca.key", "ca.pem"])
@pytest.mark.parametrize("broken_link", [False, True], ids=["a file", "a link to nowhere"])
def test_nothing_is_overwritten(
    tmp_path: Path, authority: Pair, existing: str, *, broken_link: bool
) -> None:
    path = tmp_path / existing
    path.symlink_to("nowhere") if broken_link else path.write_text("precious")
    with pytest.raises(BadConfig, match=f"{path} exists already"):
        write_pair(tmp_path, "ca", authority)
    assert names(tmp_path) == [existing]
    assert broken_link or path.read_text() == "precious"


def test_a_replaced_pair_is_whole_and_alone(folder: Path, authority: Pair) -> None:
    pair = client_certificate(authority, "ada", None, now=NOW)
    write_pair(folder, "ca", pair, replace=True)
    assert load_pair(folder, "ca").certificate == pair.certificate
    assert names(folder) == ["ca.key", "ca.pem"]


def test_the_folders_above_are_made_and_it_alone_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "missing" / "certs"
    make_folder(folder)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o005) == (0o700, 0o005)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("")
    with pytest.raises(BadConfig, match="certs is not a folder"):
        make_folder(tmp_path / "certs")


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def encrypt(folder: Path) -> None:
    key = load_pair(folder, "ca").key
    secret = key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret"))
    (folder / "ca.key").write_bytes(secret)


def use_rsa(folder: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (folder / "ca.key").write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))


def swap_key(folder: Path) -> None:
    write_pair(folder, "other", new_authority(NOW))
    (folder / "other.key").replace(folder / "ca.key")


def make_a_client_of_it(folder: Path) -> None:
    pair = client_certificate(load_pair(folder, "ca"), "ada", None, now=NOW)
    write_pair(folder, "ca", pair, replace=True)


def expire(folder: Path) -> None:
    write_pair(folder, "ca", new_authority(NOW - timedelta(days=9), days=2), replace=True)


@pytest.mark.parametrize(
    ("spoil", "file", "said"),
    [
        (lambda folder: (folder / "ca.pem").unlink(), "ca.pem", "No such file"),
        (lambda folder: (folder / "ca.key").unlink(), "ca.key", "No such file"),
        (lambda folder: (folder / "ca.pem").write_text("x"), "ca.pem", "no PEM certificate"),
        (lambda folder: (folder / "ca.key").write_text("x"), "ca.key", "no PEM private key"),
        (encrypt, "ca.key", "encrypted"),
        (use_rsa, "ca.key", "elliptic curve"),
        (swap_key, "ca.key", "is not the key of"),
        (make_a_client_of_it, "ca.pem", "not the certificate of an authority"),
        (expire, "ca.pem", "expired at"),
    ],
)
def test_an_authority_that_cannot_issue_says_why(
    folder: Path, spoil: Callable[[Path], object], file: str, said: str
) -> None:
    spoil(folder)
    with pytest.raises(BadConfig, match=said) as caught:
        load_authority(folder, NOW)
    assert str(folder / file) in str(caught.value)


def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path: Path, authority: Pair) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(BadConfig, match=r"ca\.key: File too large"):
            write_pair(tmp_path, "ca", authority)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []
