"""`workercerts` as an operator runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.folder import load_certificate, load_pair
from worker.rpc.role import Role, role_of

WORKERCERTS = Path(sys.executable).with_name("workercerts")


def workercerts(*arguments: str | Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (WORKERCERTS, *arguments),
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        umask=umask,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an authority, and nothing else."""
    folder = tmp_path_factory.mktemp("operator") / "certs"
    assert workercerts("authority", folder).returncode == 0
    return folder


@pytest.mark.parametrize("umask", [0, 0o077, 0o777], ids="umask {:03o}".format)
def test_keys_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "test"
    assert workercerts("test", folder, umask=umask).returncode == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {mode for name, mode in modes.items() if name.endswith(".key")} == {0o600}
    assert {mode for name, mode in modes.items() if name.endswith(".pem")} == {0o644}


def test_an_operators_first_steps(folder: Path) -> None:
    server = workercerts("server", folder, "--name", "localhost", "--address", "::1")
    client = workercerts("client", folder, "ada", "--role", "readonly", "--days", "30")
    assert (server.returncode, client.returncode) == (0, 0)
    assert f"{folder}/ada.pem and .key, valid until" in client.stdout
    assert server.stderr == client.stderr == ""
    ada = load_pair(folder, "ada").certificate
    assert role_of(ada.public_bytes(Encoding.DER)) is Role.READONLY
    for name in ("server", "ada"):
        issued = load_certificate(folder / f"{name}.pem")
        issued.verify_directly_issued_by(load_certificate(folder / "ca.pem"))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(("authority", "DIR"), 1, "ca.key exists already", id="exists"),
        pytest.param(("server", "DIR"), 1, "needs a name or an address", id="no name"),
        pytest.param(("server", "DIR", "--name", "::1"), 1, "not the name of a host", id="no host"),
        pytest.param(("server", "DIR", "--address", "x"), 2, "no IP address", id="no address"),
        pytest.param(("client", "DIR", "../x", "--role", "full"), 1, "client's name", id="a path"),
        pytest.param(("client", "DIR", "x", "--role", "Full"), 2, "readonly", id="no role"),
        pytest.param(("client", "DIR", "x"), 2, "--role", id="role left out"),
        pytest.param(
            ("client", "DIR", "x", "--role", "full", "--days", "0"), 2, "--days", id="no days"
        ),
        pytest.param(("client", "DIR/ca.pem", "x", "--role", "full"), 1, "Not a", id="a file"),
        pytest.param(("test", "DIR"), 1, "is no test certificate", id="not for tests"),
        pytest.param(("authority", "DIR/a/b"), 1, "DIR/a/b: No such file", id="no folder above"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    folder: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = workercerts(*(argument.replace("DIR", str(folder)) for argument in arguments))
    assert done.returncode == status
    assert said.replace("DIR", str(folder)) in done.stderr
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stderr.startswith("workercerts: ")
        assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_of_several_at_once_one_gets_the_name_whole(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen((WORKERCERTS, "authority", tmp_path), stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert sorted(racer.wait() for racer in racers) == [0, 1, 1, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"ca.key", "ca.pem"}
    load_pair(tmp_path, "ca")  # which refuses a key of another
