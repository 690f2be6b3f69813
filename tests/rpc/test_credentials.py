"""Every fault of a certificate, a key or an authority is one sentence that names the file."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.folder import load_pair, write_pair
from certs.issue import client_certificate, server_certificate
from worker.errors import BadConfig
from worker.rpc.role import Role
from worker.rpc.tls import client_context, server_context

pytestmark = pytest.mark.every_python
NOW = datetime.now(UTC)
LOCAL = [ip_address("127.0.0.1")]
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8 = serialization.PrivateFormat.PKCS8
OLD_STYLE = serialization.PrivateFormat.TraditionalOpenSSL
PLAIN = serialization.NoEncryption()
SECRET = serialization.BestAvailableEncryption(b"secret")

Load = Callable[[Path, Path, Path], ssl.SSLContext]
Spoil = Callable[[Path], object]


@pytest.fixture
def folder(certificates: Path, tmp_path: Path) -> Path:
    """A copy of the certificates that may be spoilt."""
    return shutil.copytree(certificates, tmp_path / "certificates")


@pytest.fixture(params=[server_context, client_context])
def load(request: pytest.FixtureRequest) -> Load:
    context: Load = request.param
    return context


def loaded(load: Load, folder: Path) -> ssl.SSLContext:
    return load(folder / "ca.pem", folder / "server.pem", folder / "server.key")


def issue(folder: Path, now: datetime, days: int) -> None:
    authority = load_pair(folder, "ca")
    pair = server_certificate(authority, ["localhost"], [], now=now, days=days)
    write_pair(folder, "server", pair, replace=True)


def put_key(folder: Path, data: bytes) -> None:
    (folder / "server.key").write_bytes(data)  # the mode stays 0600


def key_bytes(
    folder: Path,
    encoding: serialization.Encoding,
    style: serialization.PrivateFormat,
    encryption: serialization.KeySerializationEncryption,
) -> bytes:
    return load_pair(folder, "server").key.private_bytes(encoding, style, encryption)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def rsa_key() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(PEM, PKCS8, PLAIN)


def public_key(folder: Path) -> bytes:
    public = load_pair(folder, "server").key.public_key()
    return public.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def other_key(curve: ec.EllipticCurve) -> bytes:
    return ec.generate_private_key(curve).private_bytes(PEM, PKCS8, PLAIN)


@pytest.mark.parametrize("name", ["ca.pem", "server.pem", "server.key"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(Path.unlink, "No such file", id="missing"),
        pytest.param(replace_by_folder, "is not a file", id="a folder"),
        pytest.param(replace_by_pipe, "is not a file", id="a pipe"),
        pytest.param(lambda path: path.write_text("hello\n"), "no PEM", id="not PEM"),
        pytest.param(lambda path: path.write_text(""), "no PEM", id="empty"),
    ],
)
def test_a_file_that_is_none(load: Load, folder: Path, name: str, spoil: Spoil, said: str) -> None:
    spoil(folder / name)
    with pytest.raises(BadConfig, match=said) as caught:
        loaded(load, folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("name", ["ca.pem", "server.pem", "server.key"])
def test_a_file_that_may_not_be_read(load: Load, folder: Path, name: str) -> None:
    (folder / name).chmod(0)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)
    try:
        with pytest.raises(BadConfig, match="Permission denied") as caught:
            load(folder / name, folder / name, folder / name)
    finally:
        if as_root:
            os.seteuid(0)
    assert str(folder / name) in str(caught.value)


def test_a_name_that_no_file_can_have(load: Load, folder: Path) -> None:
    with pytest.raises(BadConfig, match="can't be the name of a file"):
        load(folder / "ca\0.pem", folder / "server.pem", folder / "server.key")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(
            lambda folder: put_key(folder, other_key(ec.SECP256R1())),
            "is not the key of",
            id="of another",
        ),
        pytest.param(
            lambda folder: put_key(folder, other_key(ec.SECP384R1())),
            "is not the key of",
            id="of another curve",
        ),
        pytest.param(
            lambda folder: put_key(folder, rsa_key()), "is not the key of", id="of another kind"
        ),
        pytest.param(
            lambda folder: put_key(folder, public_key(folder)), "no PEM private key", id="public"
        ),
        pytest.param(
            lambda folder: put_key(folder, (folder / "server.pem").read_bytes()),
            "no PEM private key",
            id="a certificate in its place",
        ),
        pytest.param(
            lambda folder: put_key(folder, key_bytes(folder, DER, PKCS8, PLAIN)),
            "no PEM private key",
            id="DER",
        ),
        pytest.param(
            lambda folder: put_key(folder, key_bytes(folder, PEM, PKCS8, SECRET)),
            "encrypted",
            id="encrypted",
        ),
        pytest.param(
            lambda folder: put_key(folder, key_bytes(folder, PEM, OLD_STYLE, SECRET)),
            "encrypted",
            id="encrypted in the old style",
        ),
    ],
)
def test_a_key_that_will_not_do(load: Load, folder: Path, spoil: Spoil, said: str) -> None:
    spoil(folder)
    with pytest.raises(BadConfig, match=said) as caught:
        loaded(load, folder)
    assert str(folder / "server.key") in str(caught.value)


@pytest.mark.parametrize("style", [PKCS8, OLD_STYLE])
def test_a_plain_key_in_either_style_will_do(
    load: Load, folder: Path, style: serialization.PrivateFormat
) -> None:
    put_key(folder, key_bytes(folder, PEM, style, PLAIN))
    assert loaded(load, folder)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o620, 0o610, 0o440])
def test_a_key_that_others_can_get_at_is_refused(load: Load, folder: Path, mode: int) -> None:
    key = folder / "server.key"
    if os.geteuid() == 0:
        os.chown(key, 65534, -1)
    key.chmod(mode)
    with pytest.raises(BadConfig, match=f"mode {mode:04o}.*chmod 600 {key}"):
        loaded(load, folder)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_of_its_owner_alone_will_do(load: Load, folder: Path, mode: int) -> None:
    (folder / "server.key").chmod(mode)
    assert loaded(load, folder)


@pytest.mark.parametrize(
    ("mode", "will_do"),
    [(0o640, True), (0o440, True), (0o660, False), (0o650, False), (0o644, False)],
)
def test_roots_key_may_be_read_by_its_group(
    load: Load, folder: Path, mode: int, *, will_do: bool
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make root's file")
    (folder / "server.key").chmod(mode)
    if will_do:
        assert loaded(load, folder)
    else:
        with pytest.raises(BadConfig, match="chmod 600"):
            loaded(load, folder)


def test_a_link_is_judged_by_what_it_leads_to(load: Load, folder: Path) -> None:
    key = folder / "server.key"
    key.symlink_to(key.rename(folder / "elsewhere"))
    assert loaded(load, folder)
    (folder / "elsewhere").chmod(0o644)
    with pytest.raises(BadConfig, match="chmod 600"):
        loaded(load, folder)


def test_an_expired_certificate_is_named_with_subject_and_date(load: Load, folder: Path) -> None:
    issue(folder, NOW - timedelta(days=10), days=1)
    ended = NOW - timedelta(days=9)
    with pytest.raises(BadConfig, match=rf"CN=job-worker server.*expired at {ended:%Y-%m-%d}") as e:
        loaded(load, folder)
    assert str(folder / "server.pem") in str(e.value)


def test_a_certificate_that_is_not_valid_yet_says_so(load: Load, folder: Path) -> None:
    begins = NOW + timedelta(days=3)
    issue(folder, begins, days=1)
    with pytest.raises(BadConfig, match=rf"valid from {begins:%Y-%m-%d}") as caught:
        loaded(load, folder)
    assert str(folder / "server.pem") in str(caught.value)


def test_a_key_in_place_of_the_certificate(load: Load, folder: Path) -> None:
    with pytest.raises(BadConfig, match=r"server\.key: no PEM certificate"):
        load(folder / "ca.pem", folder / "server.key", folder / "server.key")


def test_a_key_in_place_of_the_authority(load: Load, folder: Path) -> None:
    with pytest.raises(BadConfig, match=r"ca\.key: no PEM certificate"):
        load(folder / "ca.key", folder / "server.pem", folder / "server.key")


def test_the_chain_may_follow_but_not_precede(load: Load, folder: Path) -> None:
    leaf = (folder / "server.pem").read_bytes()
    issuer = (folder / "ca.pem").read_bytes()
    (folder / "server.pem").write_bytes(leaf + issuer)
    assert loaded(load, folder)
    (folder / "server.pem").write_bytes(issuer + leaf)
    with pytest.raises(BadConfig, match="is not the key of"):
        loaded(load, folder)


def test_a_key_too_weak_for_openssl_names_the_certificate(load: Load, folder: Path) -> None:
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=x"),
            *("-days", "2", "-keyout", folder / "server.key", "-out", folder / "server.pem"),
        ),
        check=True,
        capture_output=True,
    )
    with pytest.raises(BadConfig, match=r"server\.pem.*key too small"):
        loaded(load, folder)


def test_text_around_the_certificates_of_an_authority_may_be_of_any_language(
    load: Load, folder: Path
) -> None:
    ca = folder / "ca.pem"
    ca.write_bytes("Autorité, 認証局\n".encode() + ca.read_bytes())
    assert len(loaded(load, folder).get_ca_certs()) == 1


def test_client_certificates_load_as_well(folder: Path) -> None:
    pair = client_certificate(load_pair(folder, "ca"), "ada", Role.FULL, now=NOW)
    write_pair(folder, "ada", pair)
    assert client_context(folder / "ca.pem", folder / "ada.pem", folder / "ada.key")
