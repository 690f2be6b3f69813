"""`workerserver --check`: what was looked at, for people. Who gets here has found no fault."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime

from worker.jobs.directory import check_usable
from worker.server.config import ServerConfig
from worker.server.listen import Endpoint, listening
from worker.server.terms import terms_of


def findings(
    config: ServerConfig, context: ssl.SSLContext, endpoints: Sequence[Endpoint], now: datetime
) -> Iterator[str]:
    """What was found under each key of the configuration. Raises BadState, BadConfig."""
    own, *authorities = terms_of(config, context)
    for authority in authorities:
        yield f"clientCA {authority.text(now)}"
    yield f"serverCertificate {own.text(now)}"
    yield f"serverKey {config.server_key}: belongs to that certificate"
    for each in listening(config.listen_address, any_port=True):  # its own may be the service's
        each.close()
    hosts = ", ".join(str(where[0]) for _, where in endpoints)
    yield f"listenAddress {config.listen_address}: {hosts}"
    how = "can be used" if check_usable(config.state_directory) else "will be made"
    yield f"stateDirectory {config.state_directory}: {how}"
