"""`workerserver --check`: what was looked at, for people. Who gets here has found no fault."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from worker.errors import BadConfig
from worker.jobs.directory import check_usable, holder_of
from worker.keeper.cgroup import folder_for
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
    yield from unkept(config)


def unkept(config: ServerConfig) -> Iterator[str]:
    """Limits that no job could be given. No fault: a shell's cgroup and limits aren't a unit's."""
    permitted, keeper = config.permitted, holder_of(config.state_directory)
    here, there = "where --check runs", "for the service that runs"
    controllers = passed_on(config.state_directory, keeper) if keeper else own_controllers()
    for check, where in (
        (permitted.check_given, here),
        (partial(permitted.check_controlled, controllers), there if keeper else here),
    ):
        try:
            check()
        except BadConfig as error:
            yield f"{error}; {where}, that is"


def own_controllers() -> frozenset[str]:
    """All that the keeper may be given here."""
    with suppress(OSError):
        folder = folder_for(Path("/"))  # whose it is tells its name alone
        if folder:
            return _words(folder.parent / "cgroup.controllers")
    return frozenset()


def passed_on(state: Path, keeper: int) -> frozenset[str]:
    """What a keeper that runs was given, and SIGHUP goes by."""
    with suppress(OSError):
        folder = folder_for(state, keeper)
        if folder:
            return _words(folder / "jobs" / "cgroup.subtree_control")
    return frozenset()


def _words(path: Path) -> frozenset[str]:
    return frozenset(path.read_text().split())
