"""Which sockets the service listens on."""

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from worker.errors import BadConfig
from worker.server.listen import listening
from worker.settings import Address


@contextmanager
def listened(host: str, port: int = 0) -> Iterator[list[socket.socket]]:
    with ExitStack() as closed:
        sockets = listening(Address(host, port))
        for each in sockets:
            closed.enter_context(each)
        yield sockets


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def test_localhost_is_both_loopback_addresses_on_one_port() -> None:
    with listened("localhost") as sockets:
        names = [each.getsockname()[:2] for each in sockets]
        port = names[0][1]
        assert names == [("127.0.0.1", port), *([("::1", port)] if has_ipv6() else [])]
        for host, _ in names:
            socket.create_connection((host, port)).close()


def test_a_socket_is_inherited_only_where_that_is_asked_for() -> None:
    with listened("127.0.0.1") as sockets:
        assert not any(each.get_inheritable() for each in sockets)


def test_an_address_of_ipv6_is_for_ipv6_alone() -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with listened("::1") as (one,), socket.create_server(("127.0.0.1", one.getsockname()[1])):
        assert one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_any_address_of_ipv6_is_for_both() -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with listened("::") as (one,):
        socket.create_connection(("127.0.0.1", one.getsockname()[1])).close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_busy_port_is_refused(host: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as busy,
        pytest.raises(BadConfig, match=f"can't listen on {host}:[0-9]+: Address already in use"),
        listened(host, busy.getsockname()[1]),
    ):
        pass


def test_a_port_that_is_busy_on_one_of_two_addresses_is_refused_and_all_is_closed() -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(BadConfig, match="Address already in use"), listened("localhost", port):
            pass
        socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        pytest.param("::z", "Name or service not known", id="a name that nobody knows"),
        pytest.param("x" * 64 + ".example", "that can't be a name", id="a name that can't be"),
        pytest.param("192.0.2.1", "this machine doesn't have that address", id="another machine's"),
    ],
)
def test_an_address_that_is_not_here_is_refused(host: str, complaint: str) -> None:
    where = re.escape(str(Address(host, 0)))
    with pytest.raises(BadConfig, match=f"can't listen on {where}: {complaint}"), listened(host):
        pass


def test_a_port_for_root_alone_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", denied)
    with (
        pytest.raises(BadConfig, match="can't listen on localhost:443: Permission denied"),
        listened("localhost", 443),
    ):
        pass
