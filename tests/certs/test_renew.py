from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import SKEW, Pair, new_authority
from certs.folder import load_pair, write_pair
from certs.issue import certified, client_certificate, server_certificate
from certs.renew import renew
from tests.rpc.test_role import role_of
from worker.errors import BadConfig
from worker.rpc.role import Role

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = THEN + timedelta(days=100)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return new_authority(THEN)


@pytest.fixture
def folder(authority: Pair, tmp_path: Path) -> Path:
    write_pair(tmp_path, "ca", authority)
    return tmp_path


def extensions_of(certificate: x509.Certificate) -> list[x509.Extension[x509.ExtensionType]]:
    """Without what belongs to the key."""
    keys = x509.SubjectKeyIdentifier
    return sorted(
        (each for each in certificate.extensions if not isinstance(each.value, keys)),
        key=lambda each: each.oid.dotted_string,
    )


@pytest.mark.parametrize("role", [Role.FULL, Role.READONLY, None])
def test_a_clients_keeps_subject_role_and_lifetime(
    folder: Path, authority: Pair, role: Role | None
) -> None:
    old = client_certificate(authority, "ada", role, now=THEN, days=40)
    write_pair(folder, "ada", old)
    new, _ = renew(folder, "ada", authority, now=NOW)
    assert load_pair(folder, "ada").certificate == new.certificate
    assert new.certificate.subject == old.certificate.subject
    assert role_of(new.certificate.public_bytes(Encoding.DER)) is role
    assert extensions_of(new.certificate) == extensions_of(old.certificate)
    assert new.certificate.not_valid_before_utc == NOW - SKEW
    assert new.certificate.not_valid_after_utc == NOW + timedelta(days=40)
    assert new.key.public_key() != old.key.public_key()
    assert new.certificate.serial_number != old.certificate.serial_number


def test_a_servers_keeps_its_names(folder: Path, authority: Pair) -> None:
    names, addresses = ["a.example", "*.b.example"], [ip_address("::1")]
    old = server_certificate(authority, names, addresses, now=THEN)
    write_pair(folder, "server", old)
    new, _ = renew(folder, "server", authority, now=NOW, days=7)
    assert extensions_of(new.certificate) == extensions_of(old.certificate)
    assert new.certificate.not_valid_after_utc == NOW + timedelta(days=7)


def test_a_subject_of_several_parts_is_kept(folder: Path, authority: Pair) -> None:
    subject = x509.Name.from_rfc4514_string("CN=ada,O=Analytical Engines,C=GB")
    write_pair(folder, "ada", certified(authority, subject, [], now=THEN))
    new, _ = renew(folder, "ada", authority, now=NOW)
    assert new.certificate.subject == subject


def test_the_old_pair_is_kept_beside_however_often(folder: Path, authority: Pair) -> None:
    old = client_certificate(authority, "ada", Role.FULL, now=THEN)
    write_pair(folder, "ada", old)
    pairs = [old]
    kept = []
    for _ in range(3):
        new, path = renew(folder, "ada", authority, now=NOW)
        pairs.append(new)
        kept.append(path)
    for path, pair in zip(kept, pairs, strict=False):
        found = load_pair(folder, path.stem)
        assert (found.certificate, found.key.public_key()) == (
            pair.certificate,
            pair.key.public_key(),
        )
        assert path.with_suffix(".key").stat().st_mode & 0o777 == 0o600
    assert len(list(folder.iterdir())) == 2 * (1 + 4)


def test_one_that_was_cut_short_between_the_files_can_be_done_again(
    folder: Path, authority: Pair
) -> None:
    old = client_certificate(authority, "ada", Role.FULL, now=THEN)
    write_pair(folder, "ada", old)
    before = (folder / "ada.pem").read_bytes()
    renew(folder, "ada", authority, now=NOW)
    (folder / "ada.pem").write_bytes(before)  # the key is new already
    new, kept = renew(folder, "ada", authority, now=NOW)
    assert load_pair(folder, "ada").certificate == new.certificate
    assert load_pair(folder, kept.stem).key.public_key() == old.key.public_key()


def test_the_key_may_be_elsewhere(folder: Path, authority: Pair) -> None:
    write_pair(folder, "ada", client_certificate(authority, "ada", Role.FULL, now=THEN))
    (folder / "ada.key").unlink()
    new, _ = renew(folder, "ada", authority, now=NOW)
    assert load_pair(folder, "ada").certificate == new.certificate


def test_an_expired_one_can_be_renewed(folder: Path, authority: Pair) -> None:
    write_pair(folder, "ada", client_certificate(authority, "ada", None, now=THEN, days=1))
    new, _ = renew(folder, "ada", authority, now=NOW)
    assert new.certificate.not_valid_after_utc == NOW + timedelta(days=1)


def test_an_authoritys_is_not_renewed(folder: Path, authority: Pair) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BadConfig, match=r"ca\.pem is an authority's: create a new one"):
        renew(folder, "ca", authority, now=NOW)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_another_authoritys_is_not_renewed(folder: Path, authority: Pair) -> None:
    other = new_authority(THEN)  # of the same name
    write_pair(folder, "ada", client_certificate(other, "ada", Role.FULL, now=THEN))
    with pytest.raises(BadConfig, match=r"ada\.pem was not issued by the authority in"):
        renew(folder, "ada", authority, now=NOW)
