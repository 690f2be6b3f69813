"""May the service that runs go on with the configuration as it is now? Asked before a SIGHUP acts.

Its sockets and its lock stay what they are, so address and state directory can't change.
"""

from __future__ import annotations

from pathlib import Path

from worker.errors import BadConfig, WorkerError
from worker.jobs.directory import check_usable
from worker.rpc.tls import server_context
from worker.server.config import ServerConfig
from worker.server.main import CAN_BE_MENDED, say
from worker.server.started import Started


def main() -> int:
    given = Started.parsed()
    try:
        check_replaceable(given)
    except WorkerError as error:
        say(str(error))
        return CAN_BE_MENDED
    return 0


def check_replaceable(given: Started) -> None:
    """Raises BadConfig, BadState. `given`: what the service was started with."""
    file = given.config
    config = ServerConfig.load(file)
    config.permitted.check_kept(given.controllers)
    server_context(config.client_ca, config.server_certificate, config.server_key)
    if str(config.listen_address) != given.address:
        raise BadConfig(
            f"{file}: listenAddress was {given.address}: to change it, restart the service"
        )
    if not _is_same(config.state_directory, given.state):
        raise BadConfig(
            f"{file}: stateDirectory was {given.state}: to change it, restart the service"
        )
    check_usable(config.state_directory)


def _is_same(folder: Path, state: Path) -> bool:
    try:
        return folder.samefile(state)
    except FileNotFoundError:  # a new one
        return False
    except OSError as error:
        raise BadConfig(f"{folder}: {error.strerror}") from error
