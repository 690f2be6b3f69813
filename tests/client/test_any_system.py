"""Client and command line are for any system; library and server are for Linux."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from cli.statuses import ExitStatus
from tests.client.scripted import client_of, server_side, serving
from tests.e2e.service import Service
from worker.client import ClientConfig
from worker.rpc import tls
from worker.settings import Address

LACKING = """
import asyncio, os, select, signal, ssl, sys  # asyncio knows by itself what is there

for module in ("fcntl", "grp", "pwd", "resource", "sqlite3", "syslog", "termios"):
    sys.modules[module] = None
MISSING = {
    asyncio.SelectorEventLoop: ("add_signal_handler", "remove_signal_handler"),
    os: ("splice", "fork", "waitid", "pidfd_open", "memfd_create", "eventfd", "geteuid", "getuid"),
    select: ("epoll", "poll"),
    signal: ("SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "pthread_sigmask"),
}
for owner, names in MISSING.items():
    for name in names:
        delattr(owner, name)
"""
UNPINNED = """
import _ssl
del _ssl.__file__  # as where it is built in: its OpenSSL can't be asked

from worker.rpc.tls import pin_suite
assert not pin_suite(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
"""
IMPORTS = """
import cli.app, cli.main, worker.client
of_linux = ("worker.jobs", "worker.server", "worker.keeper")
assert not [name for name in sys.modules if name.startswith(of_linux)]
"""
COMMAND_LINE = """
from cli.main import main
main()
"""
SCRIPT = """
from worker import Client
from worker.client import ClientConfig

async def run():
    async with Client(ClientConfig.load(sys.argv[1])) as client:
        job = await client.start("sh", "-c", "printf all; exec sleep 600")
        async for chunk in job.output():
            print(chunk.data)
            await job.stop()
        print((await job.wait()).exit_code)

asyncio.run(run())
"""


def ran(program: str, *arguments: str, interrupted_at: str | None = None) -> tuple[int, str, str]:
    """Exit status, stdout and stderr; with a Ctrl-C once it has printed that line."""
    command = [sys.executable, "-c", LACKING + program, *arguments]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout
        if interrupted_at is not None:
            assert process.stdout.readline() == interrupted_at
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    return process.returncode, stdout, stderr


def printed(program: str, *arguments: str) -> str:
    status, stdout, stderr = ran(program, *arguments)
    assert (status, stderr) == (0, "")
    return stdout


def written(config: ClientConfig, folder: Path) -> str:
    file = folder / "workerclient.yaml"
    file.write_text(
        f"serverAddress: {config.server_address}\n"
        f"serverCA: {config.server_ca}\n"
        f"clientCertificate: {config.client_certificate}\n"
        f"clientKey: {config.client_key}\n"
    )
    return str(file)


@pytest.fixture
def file(service: Service, tmp_path: Path) -> str:
    config = client_of(service.certificates, Address.parsed(service.address))
    return written(config, tmp_path)


def test_they_import_nothing_that_only_linux_has() -> None:
    printed(IMPORTS)


@pytest.mark.every_python
@pytest.mark.parametrize("pinned", ["", UNPINNED], ids=["suite pinned", "suite checked"])
def test_the_command_line_runs_there(file: str, pinned: str) -> None:
    program = pinned + COMMAND_LINE
    job = printed(
        program, "--config", file, "start", "sh", "-args", "-c", "echo all; exit 7"
    ).strip()
    assert printed(program, "--config", file, "stream", "-j", job) == "all\n"
    status = json.loads(printed(program, "--config", file, "query", "--json", "-j", job))
    assert (status["state"], status["exitCode"]) == ("exited", 7)
    assert printed(program, "--config", file, "stop", "-j", job) == ""


def test_ctrl_c_detaches_there(file: str) -> None:
    start = ["start", "--", "sh", "-c", "echo on; exec sleep 600"]
    job = printed(COMMAND_LINE, "--config", file, *start).strip()
    stream = ["--config", file, "stream", "-j", job]
    status, _, said = ran(COMMAND_LINE, *stream, interrupted_at="on\n")
    assert status == ExitStatus.INTERRUPTED
    assert f"detached; job {job} goes on" in said
    printed(COMMAND_LINE, "--config", file, "stop", "-j", job)


@pytest.mark.parametrize("pinned", ["", UNPINNED], ids=["suite pinned", "suite checked"])
def test_a_script_with_the_client_runs_there(file: str, pinned: str) -> None:
    assert printed(pinned + SCRIPT, file) == "b'all'\n143\n"


async def test_another_suite_is_refused_where_it_cant_be_ruled_out(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "TLS_AES_128_GCM_SHA256"
    with monkeypatch.context() as patched:
        patched.setattr(tls, "SUITE", other)
        context = server_side(certificates)
    async with serving(certificates, context) as config:
        arguments = ["--config", written(config, tmp_path), "query", "-j", 32 * "0"]
        status, stdout, said = await asyncio.to_thread(ran, UNPINNED + COMMAND_LINE, *arguments)
    assert (status, stdout) == (ExitStatus.SETUP, "")
    assert other in said
    assert "Traceback" not in said
