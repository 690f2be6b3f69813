"""workerserver: check all that can be checked, then become the keeper.

The keeper is the service's first process, and starts the server as its child; lock and sockets
are made here and handed down. Exit status: 0 after SIGTERM; 2 for what can be mended in command
line, configuration, certificates, address or state directory; 1 for all else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

from worker.errors import BadConfig, StateInUse, WorkerError
from worker.jobs.directory import lock
from worker.rpc.tls import server_context
from worker.server.check import findings, own_controllers
from worker.server.config import ServerConfig
from worker.server.listen import listening, resolved

KEEPER: Final = Path(__file__).parents[1] / "keeper"
CAN_BE_MENDED: Final = 2
RECORDING_S: Final = 10.0  # what a predecessor may need beyond the grace of its jobs


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is no traceback
    open_standard_descriptors()
    given = _parser().parse_args()
    try:
        file = absolute(given.config)
        config = ServerConfig.load(file)
        context = server_context(config.client_ca, config.server_certificate, config.server_key)
        endpoints = resolved(config.listen_address)
        if not given.check:
            config.permitted.check_kept(own_controllers())
            become_keeper(file, config)
        found = list(findings(config, context, endpoints, datetime.now(UTC)))
        with suppress(OSError):  # nobody listens
            os.write(1, "".join(f"{line}\n" for line in found).encode(errors="surrogateescape"))
    except WorkerError as error:
        say(str(error))
        sys.exit(CAN_BE_MENDED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workerserver", description="Runs processes for clients with a certificate."
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="a YAML file")
    parser.add_argument(
        "--check", action="store_true", help="look at the configuration and its files, then end"
    )
    parser.add_argument("--version", action="version", version=version("job-worker"))
    return parser


def open_standard_descriptors() -> None:
    """Without them a socket of ours would become somebody's standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - os's own


def absolute(name: str) -> Path:
    try:
        return Path(name).absolute()
    except OSError as error:
        raise BadConfig(f"{name}: the current directory is gone: give an absolute path") from error


def become_keeper(file: Path, config: ServerConfig) -> NoReturn:
    lock_fd = locked(config)
    sockets = [each.detach() for each in listening(config.listen_address)]
    if config.permitted.job_user is None:
        say("jobs run as the service's own user, and can read its key: see jobUser")
    listen = ["--listen", ",".join(map(str, sockets))]
    given = ["--config", str(file), *listen]
    given += ["--address", str(config.listen_address), "--state", str(config.state_directory)]
    server = os.memfd_create("server")
    commands = {
        does: [sys.executable, "-I", "-m", module, *given]
        for does, module in (("serve", "worker.server"), ("check", "worker.check"))
    }
    os.write(server, json.dumps(commands).encode())
    for descriptor in (lock_fd, server, *sockets):
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - os's own
    options = ["--lock", str(lock_fd), *listen, "--server", str(server)]
    keeper = [sys.executable, "-I", "-S", str(KEEPER), str(config.state_directory), *options]
    os.execv(sys.executable, keeper)  # noqa: S606 - no shell


def locked(config: ServerConfig) -> int:
    """The lock of the state directory; waits for a predecessor that is still ending its jobs."""
    try:
        return lock(config.state_directory)
    except StateInUse as error:
        patience = config.shutdown_grace + RECORDING_S
        say(f"{error}; waiting up to {patience:.0f} s for it to end")
        return lock(config.state_directory, patience)


def say(text: str) -> None:
    with suppress(OSError):  # nobody listens
        os.write(2, f"workerserver: {text}\n".encode(errors="surrogateescape"))
