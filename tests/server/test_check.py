"""workerserver --check, as an operator runs it before a start or a SIGHUP."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from certs.authority import new_authority
from certs.folder import load_pair, write_pair
from certs.issue import server_certificate
from tests.e2e.service import PROGRAM, configured, serving
from tests.keeper.test_ways import without_cgroups
from tests.server.test_main import CAN_BE_MENDED, changed, run

NOW = datetime.now(UTC)
# A service with these limits, which even as root has no right to more.
BOUNDED = (
    *("prlimit", "--nofile=1024:1024", "--core=7:7"),
    *("setpriv", "--bounding-set=-sys_resource,-sys_nice"),
)


@pytest.fixture
def folder(tmp_path: Path, certificates: Path) -> Path:
    """With a configuration, and certificates that may be spoilt."""
    copy = shutil.copytree(certificates, tmp_path / "certificates")
    configured(tmp_path, copy)
    return tmp_path


def check(folder: Path) -> tuple[int, list[str], str]:
    status, said, complained = run("--config", folder / "server.yaml", "--check")
    return status, said.splitlines(), complained


def put_server(folder: Path, *, days: int, names: list[str] | None = None) -> None:
    authority = load_pair(folder / "certificates", "ca")
    pair = server_certificate(authority, names or ["localhost"], [], now=NOW, days=days)
    write_pair(folder / "certificates", "server", pair, replace=True)


def test_it_says_what_it_found_under_each_key(folder: Path) -> None:
    files = folder / "certificates"
    status, said, complained = check(folder)
    assert (status, complained) == (0, "")
    when = r"expires at 20\d\d-\d\d-\d\d \d\d:\d\d UTC, in \d+ days"
    names = "localhost, 127.0.0.1, ::1"
    expected = [
        rf"clientCA {files}/ca\.pem: the authority \(CN=job-worker test authority\) {when}",
        rf"serverCertificate {files}/server\.pem: the certificate \(CN=.*\) for {names} {when}",
        rf"serverKey {files}/server\.key: belongs to that certificate",
        r"listenAddress localhost:0: 127\.0\.0\.1, ::1",
        rf"stateDirectory {folder}/state: will be made",
    ]
    assert len(said) == len(expected)
    for line, pattern in zip(said, expected, strict=True):
        assert re.fullmatch(pattern, line)


def test_it_touches_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    assert check(folder)[0] == 0
    assert sorted(folder.rglob("*")) == before


def test_a_running_service_is_no_trouble(folder: Path) -> None:
    with serving(folder, folder / "certificates"):
        status, said, _ = check(folder)
    assert (status, said[-1]) == (0, f"stateDirectory {folder}/state: can be used")


def expire_authority(folder: Path) -> None:
    authority = new_authority(NOW - timedelta(days=9), days=1)
    write_pair(folder / "certificates", "ca", authority, replace=True)


def encrypt_key(folder: Path) -> None:
    key = load_pair(folder / "certificates", "server").key
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "certificates" / "server.key").write_bytes(secret)


def put_authority_first(folder: Path) -> None:
    server, ca = folder / "certificates" / "server.pem", folder / "certificates" / "ca.pem"
    server.write_bytes(ca.read_bytes() + server.read_bytes())


def open_state(folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "state").chmod(0o777)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        pytest.param(
            lambda folder: (folder / "certificates" / "server.key").unlink(),
            r"server\.key: No such file",
            id="a key that is missing",
        ),
        pytest.param(encrypt_key, r"server\.key: the key is encrypted", id="an encrypted key"),
        pytest.param(
            lambda folder: (folder / "certificates" / "server.key").chmod(0o644),
            r"server\.key: others can get at this key \(mode 0644\): chmod 600",
            id="a key for all to read",
        ),
        pytest.param(
            put_authority_first,
            r"server\.key is not the key of the first certificate in .*server\.pem",
            id="the authority's certificate before the server's",
        ),
        pytest.param(
            expire_authority,
            r"ca\.pem: the authority \(CN=job-worker authority\) expired at",
            id="an authority that has expired",
        ),
        pytest.param(
            lambda folder: shutil.copy(
                folder / "certificates" / "server.pem", folder / "certificates" / "ca.pem"
            ),
            r"ca\.pem: no certificate of an authority in it",
            id="a server's certificate as authority",
        ),
        pytest.param(
            lambda folder: changed(folder / "server.yaml", "localhost:0", "no.such.invalid:0"),
            r"can't listen on no\.such\.invalid:0",
            id="an address that nobody knows",
        ),
        pytest.param(
            lambda folder: changed(folder / "server.yaml", "localhost:0", "192.0.2.1:5000"),
            r"can't listen on 192\.0\.2\.1:5000: this machine doesn't have that address",
            id="an address of another machine",
        ),
        pytest.param(
            open_state,
            r"state can be written by others: choose a folder of its own",
            id="a state that isn't private",
        ),
        pytest.param(
            lambda folder: changed(folder / "server.yaml", ": state", ": server.yaml"),
            r"server\.yaml can't be the state directory: Not a directory",
            id="a file as state",
        ),
        pytest.param(
            lambda folder: changed(folder / "server.yaml", ": state", ": server.yaml/x"),
            r"server\.yaml/x can't be the state directory: \S+ is no folder that can be written",
            id="a state that can't be made",
        ),
        pytest.param(
            lambda folder: changed(folder / "server.yaml", ": state", ": /proc/x"),
            r"/proc/x can't be the state directory: /proc is no folder that can be written",
            id="a state that nobody can make, though root has the right",
        ),
    ],
)
def test_a_fault_is_one_sentence_and_status_2(
    folder: Path, spoil: Callable[[Path], object], complaint: str
) -> None:
    spoil(folder)
    status, said, complained = check(folder)
    assert (status, said) == (CAN_BE_MENDED, [])
    assert re.match(rf"workerserver: .*{complaint}", complained)
    assert complained.count("\n") == 1


@pytest.mark.parametrize(
    ("before", "limits", "complaint"),
    [
        pytest.param(
            without_cgroups(),
            "maxLimits: {memory: 64000000}",
            "memory can't be kept here: the cgroup v2 controller memory isn't given",
            id="without the controller",
        ),
        pytest.param(
            [],
            f"limits: {{openFiles: {2**53}}}",
            "openFiles 9007199254740992 is above",
            id="no kernel's",
        ),
        pytest.param(BOUNDED, "limits: {openFiles: 1025}", "openFiles 1025 is above", id="files"),
        pytest.param(BOUNDED, "maxLimits: {core: 8}", "core 8 is above", id="core"),
        pytest.param(BOUNDED, "limits: {nice: -1}", "nice -1 is below", id="nice"),
    ],
)
def test_limits_that_no_job_could_be_given_are_refused_by_the_start_and_said_by_the_check(
    folder: Path, before: list[str], limits: str, complaint: str
) -> None:
    """The check may run elsewhere than the service will. Nothing is made by either."""
    configured(folder, folder / "certificates", also=limits)
    command = [*before, PROGRAM, "--config", str(folder / "server.yaml")]
    start, look = (
        subprocess.run(each, capture_output=True, text=True, timeout=30, check=False)
        for each in (command, [*command, "--check"])
    )
    assert (start.returncode, start.stdout) == (CAN_BE_MENDED, "")
    assert start.stderr.startswith(f"workerserver: limits and maxLimits: {complaint}")
    assert (look.returncode, look.stderr) == (0, "")
    assert look.stdout.splitlines()[-1].startswith(f"limits and maxLimits: {complaint}")
    assert not (folder / "state").exists()


def test_limits_up_to_our_own_are_no_fault(folder: Path) -> None:
    limits = "limits: {openFiles: 1024, core: 7, nice: 0}"
    configured(folder, folder / "certificates", also=limits)
    command = [*BOUNDED, PROGRAM, "--config", str(folder / "server.yaml"), "--check"]
    assert subprocess.run(command, timeout=30, check=False).returncode == 0


def test_whether_a_controller_is_given_is_the_running_services_to_say(folder: Path) -> None:
    """As SIGHUP will. This one has none, wherever the check runs."""
    with serving(folder, folder / "certificates", before=without_cgroups()):
        configured(folder, folder / "certificates", also="maxLimits: {memory: 64000000}")
        status, said, _ = check(folder)
    assert status == 0
    assert re.search(
        r" memory can't be kept here: .*; for the service that runs, that is", said[-1]
    )
    (folder / "state" / "lock").write_text(f"{os.getpid()}\n")  # it has ended: its pid is another's
    assert "for the service that runs" not in " ".join(check(folder)[1])


def test_what_is_near_its_end_is_no_fault_and_is_said(folder: Path) -> None:
    put_server(folder, days=3, names=["a.example"])
    status, said, _ = check(folder)
    assert status == 0
    assert re.search(r"for a\.example expires at .*, in 2 days$", said[1])
