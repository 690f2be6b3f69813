"""Who may ask for what. What isn't in the table is for nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from worker.errors import PermissionDenied
from worker.rpc.role import Role
from worker.server.identity import Identity

_READERS: Final = frozenset({Role.READONLY, Role.FULL})
_FULL: Final = frozenset({Role.FULL})

ROLES: Final[Mapping[str, frozenset[Role]]] = {
    "Start": _FULL,
    "Stop": _FULL,
    "QueryStatus": _READERS,
    "GetOutput": _READERS,
    "Wait": _READERS,
    "List": _READERS,
    "Signal": _FULL,
    "Remove": _FULL,
    "Watch": _READERS,
    "SendInput": _FULL,
}


def check_allowed(rpc: str, caller: Identity) -> None:
    """Raises PermissionDenied, saying which role is missing."""
    roles = ROLES.get(rpc, frozenset())
    if caller.role in roles:
        return
    needed = " or ".join(sorted(roles)) or "that nobody has"
    has = f"the role {caller.role}" if caller.role else f"no role: {caller.why_no_role}"
    raise PermissionDenied(
        f"{rpc} needs the role {needed}; the certificate of {caller.name} has {has}"
    )
