"""`workerserver --check`: what was looked at, for people. Who gets here has found no fault."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from worker.errors import BadConfig
from worker.jobs.directory import check_usable, owner_of
from worker.keeper.cgroup import folder_for
from worker.limits import CONTROLLERS
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
    try:
        config.permitted.check_kept(controllers(config.state_directory))
    except BadConfig as error:  # a shell's cgroup and limits aren't those of a unit
        yield f"{error}; where --check runs, that is"


def controllers(state: Path) -> frozenset[str]:
    """All that the keeper may be given here. What one is given that runs is looked at by SIGHUP."""
    if owner_of(state):
        return frozenset(CONTROLLERS.values())
    with suppress(OSError):
        folder = folder_for(Path("/"))  # whose it is tells its name alone
        if folder:
            return frozenset((folder.parent / "cgroup.controllers").read_text().split())
    return frozenset()
