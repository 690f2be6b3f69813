"""Whom each side trusts: intermediates, several authorities at once, names that are dialled."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Pair, new_authority
from certs.folder import write_pair
from certs.issue import client_certificate, server_certificate
from tests.e2e.strange import authority
from worker.errors import BadConfig
from worker.rpc.role import Role
from worker.rpc.tls import client_context, server_context

pytestmark = pytest.mark.every_python
NOW = datetime.now(UTC)


def pem(*pairs: Pair) -> bytes:
    return b"".join(pair.certificate.public_bytes(Encoding.PEM) for pair in pairs)


class Ends:
    """A server and a client, whose files a test may change."""

    def __init__(self, folder: Path, issuer: Pair, names: list[str]) -> None:
        self.folder = folder
        write_pair(folder, "server", server_certificate(issuer, names, [], now=NOW))
        write_pair(folder, "client", client_certificate(issuer, "ada", Role.FULL, now=NOW))

    def add(self, name: str, *pairs: Pair) -> None:
        with (self.folder / f"{name}.pem").open("ab") as file:
            file.write(pem(*pairs))

    async def meet(self, dialled: str = "localhost") -> None:
        """Raises whatever the client's end meets: its own refusal, or the server's alert."""

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        ours = self._context(server_context, "server")
        theirs = self._context(client_context, "client")
        server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=ours)
        port = server.sockets[0].getsockname()[1]
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=theirs, server_hostname=dialled
            )
            try:
                assert await reader.read() == b"hello"
            finally:
                writer.transport.abort()
        finally:
            server.close()

    def _context(
        self, make: Callable[[Path, Path, Path], ssl.SSLContext], name: str
    ) -> ssl.SSLContext:
        return make(*(self.folder / each for each in ("trusted.pem", f"{name}.pem", f"{name}.key")))


@pytest.fixture(scope="module")
def root() -> Pair:
    return authority("root", path_length=1)


@pytest.fixture(scope="module")
def between(root: Pair) -> Pair:
    return authority("between", root)


@pytest.fixture
def ends(tmp_path: Path, between: Pair) -> Ends:
    return Ends(tmp_path, between, ["localhost"])


async def test_the_root_is_trusted_and_the_intermediate_sent(
    ends: Ends, root: Pair, between: Pair
) -> None:
    ends.add("trusted", root)
    ends.add("server", between)
    ends.add("client", between)
    await ends.meet()


@pytest.mark.parametrize(
    ("sends", "error"),
    [
        pytest.param("client", "unable to get local issuer", id="the server doesn't send it"),
        pytest.param("server", "ALERT_UNKNOWN_CA", id="the client doesn't send it"),
    ],
)
async def test_an_intermediate_that_is_not_sent_is_missed(
    ends: Ends, root: Pair, between: Pair, sends: str, error: str
) -> None:
    ends.add("trusted", root)
    ends.add(sends, between)
    with pytest.raises(ssl.SSLError, match=error):
        await ends.meet()


@pytest.mark.parametrize("sent", [False, True], ids=["not sent", "sent as well"])
async def test_an_intermediate_may_itself_be_what_is_trusted(
    ends: Ends, between: Pair, *, sent: bool
) -> None:
    ends.add("trusted", between)
    if sent:
        ends.add("server", between)
    await ends.meet()


async def test_another_intermediate_of_the_same_root_is_not_trusted_with_it(
    ends: Ends, root: Pair
) -> None:
    ends.add("trusted", authority("beside", root))
    with pytest.raises(ssl.SSLCertVerificationError):
        await ends.meet()


async def test_an_old_authority_may_stay_beside_a_new_one(tmp_path: Path) -> None:
    old, new = new_authority(NOW - timedelta(days=9), days=1), new_authority(NOW)
    ends = Ends(tmp_path, new, ["localhost"])
    ends.add("trusted", old, new)
    await ends.meet()


@pytest.mark.parametrize(
    ("certified", "said"),
    [
        pytest.param(new_authority(NOW - timedelta(days=9), days=1), "expired at", id="expired"),
        pytest.param(new_authority(NOW + timedelta(days=1)), "is valid from", id="not valid yet"),
    ],
)
async def test_an_authority_that_can_vouch_for_nobody_is_refused_at_the_start(
    ends: Ends, certified: Pair, said: str
) -> None:
    ends.add("trusted", certified, certified)
    with pytest.raises(BadConfig, match=rf"trusted\.pem: the authority \(CN=.*\) {said}"):
        await ends.meet()


@pytest.mark.parametrize(
    ("name", "dialled"),
    [("a.example", "a.example"), ("a.example", "A.EXAMPLE"), ("*.b.example", "a.b.example")],
)
async def test_a_name_that_fits(tmp_path: Path, root: Pair, name: str, dialled: str) -> None:
    ends = Ends(tmp_path, root, [name])
    ends.add("trusted", root)
    await ends.meet(dialled)


@pytest.mark.parametrize(
    ("name", "dialled"),
    [
        pytest.param("a.example", "127.0.0.1", id="an address"),
        pytest.param("a.example", "b.example", id="another name"),
        pytest.param("*.b.example", "x.a.b.example", id="a star for two labels"),
        pytest.param("*.b.example", "b.example", id="a star for none"),
        pytest.param("a.example", "a.example.", id="a dot behind"),
    ],
)
async def test_a_name_that_does_not_fit_is_refused(
    tmp_path: Path, root: Pair, name: str, dialled: str
) -> None:
    ends = Ends(tmp_path, root, [name])
    ends.add("trusted", root)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        await ends.meet(dialled)
