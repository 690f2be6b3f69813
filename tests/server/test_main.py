"""workerserver as a process: what it says before it serves, and with which status it ends."""

import fcntl
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.service import PROGRAM, configured, line_of

CAN_BE_MENDED = 2


def run(*arguments: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [PROGRAM, *arguments], check=False, capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def changed(file: Path, old: str, new: str) -> Path:
    file.write_text(file.read_text().replace(old, new))
    return file


@pytest.fixture
def config(tmp_path: Path, certificates: Path) -> Path:
    return configured(tmp_path, certificates)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        pytest.param("clientCA", "clientCa", "unknown key 'clientCa'", id="an unknown key"),
        pytest.param("stateDirectory: state", "", "stateDirectory is missing", id="a missing key"),
        pytest.param("localhost:0", "localhost", "listenAddress: 'localhost' is not", id="no port"),
        pytest.param("localhost:0", "192.0.2.1:0", "doesn't have that address", id="not here"),
        pytest.param("ca.pem", "none.pem", "none.pem: No such file", id="no authority"),
        pytest.param("server.key", "ca.key", "ca.key is not the key of", id="another key"),
        pytest.param("server.pem", "server.key", "server.key: no PEM certificate", id="a key"),
        pytest.param("state\n", "/proc/x\n", "/proc/x can't be the state directory", id="no right"),
        pytest.param("state\n", "server.yaml\n", "server.yaml", id="a file as state directory"),
    ],
)
def test_a_fault_is_one_line_and_status_2(config: Path, old: str, new: str, complaint: str) -> None:
    status, said, complained = run("--config", changed(config, old, new))
    assert (status, said) == (CAN_BE_MENDED, "")
    (line,) = complained.splitlines()
    assert line.startswith("workerserver: ")
    assert complaint in line


@pytest.mark.parametrize(
    "arguments",
    [["--config", "/no/such.yaml"], ["--config", "/"], [], ["--config"], ["--nonsense"]],
    ids=["no such file", "a folder", "no option", "no file", "an unknown option"],
)
def test_a_bad_command_line_is_status_2_without_a_traceback(arguments: list[str]) -> None:
    status, said, complained = run(*arguments)
    assert (status, said) == (CAN_BE_MENDED, "")
    assert "workerserver: " in complained
    assert "Traceback" not in complained


def test_a_busy_port_is_said(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        status, _, complained = run("--config", changed(config, "localhost:0", f"localhost:{port}"))
    assert status == CAN_BE_MENDED
    assert complained == (
        f"workerserver: can't listen on localhost:{port}: Address already in use\n"
    )


def test_version_and_help() -> None:
    assert run("--version")[:2] == (0, "0.1.0\n")
    status, said, _ = run("--help")
    assert (status, "--config FILE" in said) == (0, True)


def test_a_directory_in_use_is_waited_for_with_one_line_that_says_so(config: Path) -> None:
    state = config.parent / "state"
    state.mkdir(mode=0o700)
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        with subprocess.Popen(
            [PROGRAM, "--config", config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as waiting:
            assert waiting.stderr
            assert waiting.stdout
            said = waiting.stderr.readline().decode()
            assert said == (
                f"workerserver: {state} is in use by process {os.getpid()};"
                " waiting up to 20 s for it to end\n"
            )
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.stdout.readline().startswith(b"listening on localhost:")
            waiting.send_signal(signal.SIGTERM)
            assert waiting.wait(20) == 0


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_descriptors_are_no_trouble(config: Path, closed: str) -> None:
    shell = ["sh", "-c", f'exec "$0" --config "$1" {closed}', PROGRAM, str(config)]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, bufsize=0) as keeper:
        assert line_of(keeper, config).startswith("listening on localhost:")
        keeper.send_signal(signal.SIGTERM)
        assert keeper.wait(20) == 0


def test_a_server_that_can_not_start_ends_the_keeper_with_its_status(config: Path) -> None:
    state = config.parent / "state"
    state.mkdir(mode=0o700)
    (state / "jobs.db").mkdir()  # seen by the server alone
    status, said, complained = run("--config", config)
    assert (status, said) == (CAN_BE_MENDED, "")
    assert "jobs.db" in complained
    assert "Traceback" not in complained
