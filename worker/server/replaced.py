"""May the service that runs go on with the configuration as it is now? Asked before a SIGHUP acts.

Its sockets and its lock stay what they are, so address and state directory can't change.
"""

from __future__ import annotations

import logging

from worker.errors import BadConfig, WorkerError
from worker.jobs.directory import check_usable
from worker.rpc.tls import server_context
from worker.server import __main__, serve  # noqa: F401 - all that is started must be there
from worker.server.config import ServerConfig
from worker.server.main import CAN_BE_MENDED
from worker.server.started import Started

log = logging.getLogger(__name__)


def main() -> int:
    given = Started.parsed()
    try:
        check_replaceable(given)
    except WorkerError as error:
        log.error("%s", error)
        return CAN_BE_MENDED
    return 0


def check_replaceable(given: Started) -> None:
    """Raises BadConfig, BadState. `given`: what the service was started with."""
    config = ServerConfig.load(given.config)
    config.permitted.check_kept(given.controllers)
    server_context(config.client_ca, config.server_certificate, config.server_key)
    for difference in given.differences(config):
        raise BadConfig(difference)
    check_usable(config.state_directory)
