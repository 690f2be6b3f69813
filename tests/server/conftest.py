import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.raw import Raw, client_tls, raw
from worker.jobs.registry import Registry
from worker.rpc.tls import server_context
from worker.server.door import Door, door_of
from worker.server.serve import accepting
from worker.server.service import Service


@dataclass(frozen=True)
class Serving:
    """A server in this process: all of it but the keeper's part."""

    registry: Registry
    service: Service
    door: Door
    port: int
    certificates: Path
    opened: AsyncExitStack

    async def client(self, name: str | None = "full") -> Raw:
        """One with the certificate of `name`; it is closed with the server."""
        tls = client_tls(self.certificates, name)
        return await self.opened.enter_async_context(raw(self.port, tls))


@pytest.fixture
async def serving(tmp_path: Path, certificates: Path) -> AsyncIterator[Serving]:
    sock = socket.create_server(("127.0.0.1", 0))
    names = (certificates / name for name in ("ca.pem", "server.pem", "server.key"))
    async with (
        Registry(tmp_path / "state") as registry,
        door_of(service := Service(registry)) as door,
        accepting(door, [sock], server_context(*names)),
        AsyncExitStack() as opened,
    ):
        yield Serving(registry, service, door, sock.getsockname()[1], certificates, opened)
