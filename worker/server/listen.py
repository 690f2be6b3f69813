"""The sockets that the service listens on, made before anything is started.

They listen from the first moment on: a socket that is only bound is no claim to its port, so a
busy one shows here; and connections queue until the server is ready.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from worker.errors import BadConfig
from worker.server.limits import BACKLOG
from worker.settings import Address

Endpoint = tuple[socket.AddressFamily, Any]  # and what bind(2) takes in that family

_LOCALHOST: Final = ("127.0.0.1", "::1")  # whatever the hosts file makes of it
_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_FREE_PORT_TRIES: Final = 20


def listening(address: Address, *, any_port: bool = False) -> list[socket.socket]:
    """A socket for each of its IP addresses that this machine has, all on one port.

    `any_port`: on one that is free, as for port 0. `[::]` takes IPv4 as well. Raises BadConfig.
    """
    endpoints = resolved(address)
    port = 0 if any_port else address.port
    tries = 1 if port else _FREE_PORT_TRIES
    while True:
        tries -= 1
        try:
            sockets = _on_one_port(endpoints, port)
        except OSError as error:
            # Port 0: what is free on the first address may be taken on the second.
            if error.errno == errno.EADDRINUSE and tries:
                continue
            raise BadConfig(f"can't listen on {address}: {error.strerror}") from error
        if not sockets:
            raise BadConfig(f"can't listen on {address}: this machine doesn't have that address")
        return sockets


def resolved(address: Address) -> Sequence[Endpoint]:
    hosts = _LOCALHOST if address.host == "localhost" else (address.host,)
    try:
        found = [
            (family, where)
            for host in hosts
            for family, _, _, _, where in socket.getaddrinfo(
                host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        ]
    except socket.gaierror as error:
        raise BadConfig(f"can't listen on {address}: {error.strerror}") from error
    except UnicodeError as error:  # a label that is empty or too long
        raise BadConfig(f"can't listen on {address}: that can't be a name") from error
    return list(dict.fromkeys(found))


def _on_one_port(endpoints: Sequence[Endpoint], port: int) -> list[socket.socket]:
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, (ip, _, *rest) in endpoints:
            try:
                one = _listening(family, (ip, port, *rest))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                continue
            sockets.append(undo.enter_context(one))
            port = one.getsockname()[1]
        undo.pop_all()
        return sockets


def _listening(family: socket.AddressFamily, where: tuple[Any, ...]) -> socket.socket:
    with ExitStack() as undo:
        one = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        one.bind(where)
        one.listen(BACKLOG)
        undo.pop_all()
        return one
