"""`workercerts` as an operator runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.folder import load_certificate, load_pair
from worker.rpc.role import Role, read_role

WORKERCERTS = Path(sys.executable).with_name("workercerts")


def workercerts(
    *arguments: str | Path, umask: int = 0o022, stdout: int | TextIO = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (WORKERCERTS, *arguments),
        check=False,
        stdout=stdout,
        stderr=subprocess.PIPE,
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
    assert read_role(ada.public_bytes(Encoding.DER)) is Role.READONLY
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
        pytest.param(
            ("client", "DIR", "x", "--role", "Full"),
            2,
            "'Full' is no role: readonly or full (see workercerts client --help)",
            id="no role",
        ),
        pytest.param(("client", "DIR", "x"), 2, "--role", id="role left out"),
        pytest.param(
            ("client", "DIR", "x", "--role", "full", "--days", "0"), 2, "--days", id="no days"
        ),
        pytest.param(
            ("authority", "DIR", "--days", "x"), 2, "'x' is no number of days: 1 to", id="a word"
        ),
        pytest.param(
            ("authority", "DIR", "--days", "9" * 5000),
            2,
            "9' is no number of days: 1 to",
            id="much",
        ),
        pytest.param(("show", "--x..."), 2, "No such option: --x... (see", id="an ellipsis"),
        pytest.param(("client", "DIR/ca.pem", "x", "--role", "full"), 1, "Not a", id="a file"),
        pytest.param(("test", "DIR"), 1, "is no test certificate", id="not for tests"),
        pytest.param(("authority", "DIR/ca.pem/b"), 1, "DIR/ca.pem/b: Not a", id="below a file"),
        pytest.param((), 2, "Missing command (see workercerts --help)", id="no command"),
        pytest.param(("bogus",), 2, "No such command 'bogus' (see", id="unknown command"),
        pytest.param(("authority", "DIR", "--name", ""), 1, "authority's name", id="no name"),
        pytest.param(
            ("server", "DIR", "--name", "a", "--file", "../x"), 1, "name of files", id="a path"
        ),
        pytest.param(("renew", "DIR", "ca"), 1, "is an authority's", id="renew an authority"),
        pytest.param(("renew", "DIR", "x"), 1, "DIR/x.pem: No such file", id="renew nothing"),
        pytest.param(("renew", "DIR", "../x"), 1, "name of files", id="renew a path"),
        pytest.param(("show", "DIR/ca.key"), 1, "DIR/ca.key: no PEM certificate", id="show a key"),
        pytest.param(("show", "DIR"), 1, "DIR: Is a directory", id="show a folder"),
        pytest.param(("show",), 2, "FILE", id="show nothing"),
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
    assert done.stderr.startswith("workercerts: ")
    assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


CANT_WRITE = "workercerts: can't write to stdout: No space left on device"


def told_to_a_full_disk(*arguments: str | Path) -> list[str]:
    with Path("/dev/full").open("w") as full:
        done = workercerts(*arguments, stdout=full)
    assert done.returncode == 1
    *before, last = done.stderr.splitlines()
    assert last == CANT_WRITE
    return before


def test_a_stdout_that_takes_nothing_is_one_sentence(folder: Path) -> None:
    assert told_to_a_full_disk("show", folder / "ca.pem") == []


def test_what_is_done_is_said_though_stdout_takes_nothing(folder: Path) -> None:
    done = "workercerts: done all the same:"
    (said,) = told_to_a_full_disk("client", folder, "dora", "--role", "full")
    dora = load_pair(folder, "dora").certificate
    assert said.startswith(f"{done} {folder}/dora.pem and .key, valid until ")
    number = f"{dora.serial_number:040x}"[:8]
    renewed, kept = told_to_a_full_disk("renew", folder, "dora")
    assert renewed == said
    assert kept == f"{done} the old ones are {folder}/dora.{number}.pem and .key"


def test_a_stdout_that_is_closed_is_one_sentence(folder: Path) -> None:
    done = subprocess.run(
        ("sh", "-c", '"$@" >&-', "sh", WORKERCERTS, "show", folder / "ca.pem"),
        check=False,
        stderr=subprocess.PIPE,
    )
    assert (done.returncode, done.stderr) == (
        1,
        b"workercerts: can't write to stdout: it is closed\n",
    )


def test_ctrl_c_while_it_is_imported_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    done = subprocess.run(
        (WORKERCERTS, "show"),
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_a_year_later(folder: Path) -> None:
    assert workercerts("client", folder, "eve", "--role", "full", "--days", "60").returncode == 0
    old = load_pair(folder, "eve")
    renewed = workercerts("renew", folder, "eve", "--days", "90", umask=0)
    assert (renewed.returncode, renewed.stderr) == (0, "")
    number = f"{old.certificate.serial_number:040x}"[:8]
    assert f"the old ones are {folder}/eve.{number}.pem and .key" in renewed.stdout
    new = load_pair(folder, "eve").certificate
    assert read_role(new.public_bytes(Encoding.DER)) is Role.FULL
    assert (folder / "eve.key").stat().st_mode & 0o777 == 0o600
    said = workercerts("show", folder / "eve.pem", folder / "ca.pem")
    assert (said.returncode, said.stderr) == (0, "")
    assert "  role      full\n" in said.stdout
    assert "  days left 89\n" in said.stdout
    assert "  for       authority\n" in said.stdout


def test_several_servers_have_files_of_their_own(folder: Path) -> None:
    assert workercerts("server", folder, "--name", "b", "--file", "server-b").returncode == 0
    assert load_pair(folder, "server-b").certificate


def test_every_command_that_reads_a_certificate_warns_before_it_expires(tmp_path: Path) -> None:
    assert workercerts("authority", tmp_path, "--days", "20").stderr == ""
    warning = rf"workercerts: warning: {tmp_path}/ca\.pem expires at .* UTC, in 19 days\n"
    for arguments in (
        ("server", tmp_path, "--name", "localhost"),
        ("client", tmp_path, "ada", "--role", "full"),
        ("renew", tmp_path, "ada"),
        ("show", tmp_path / "ca.pem"),
    ):
        done = workercerts(*arguments)
        assert done.returncode == 0
        assert re.fullmatch(warning, done.stderr)


def test_version_and_help() -> None:
    assert workercerts("--version").stdout == f"{version('job-worker')}\n"
    commands = ("authority", "server", "client", "renew", "show", "test")
    shown = workercerts("--help").stdout
    assert all(f"  {command} " in shown for command in commands)
    assert "valid: 1 to 3650" in " ".join(workercerts("renew", "--help").stdout.split())


def test_of_several_at_once_one_gets_the_name_whole(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen((WORKERCERTS, "authority", tmp_path), stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert sorted(racer.wait() for racer in racers) == [0, 1, 1, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"ca.key", "ca.pem"}
    load_pair(tmp_path, "ca")  # which refuses a key of another
