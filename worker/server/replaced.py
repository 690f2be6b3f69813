"""May the service that runs go on with the configuration as it is now? Asked before a SIGHUP acts.

Its sockets and its lock stay what they are, so address and state directory can't change.
"""

from __future__ import annotations

from pathlib import Path

from worker.errors import BadConfig
from worker.rpc.tls import server_context
from worker.server.config import ServerConfig


def check_replaceable(file: Path, address: str, state: Path) -> None:
    """Raises BadConfig. `address` and `state`: what the service was started with."""
    config = ServerConfig.load(file)
    server_context(config.client_ca, config.server_certificate, config.server_key)
    if str(config.listen_address) != address:
        raise BadConfig(f"{file}: listenAddress was {address}: to change it, restart the service")
    try:
        is_same = config.state_directory.samefile(state)
    except OSError as error:
        raise BadConfig(f"{config.state_directory}: {error.strerror}") from error
    if not is_same:
        raise BadConfig(f"{file}: stateDirectory was {state}: to change it, restart the service")
