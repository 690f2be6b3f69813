"""A real gRPC server over real TLS, whose answers a test writes: for what ours never says."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import betterproto
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

from worker.client import ClientConfig
from worker.rpc.tls import server_context
from worker.settings import Address


class Message(bytes):
    """Any bytes, a message or not."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - grpclib's name
        return self

    @classmethod
    def FromString(cls, data: bytes) -> Self:  # noqa: N802 - grpclib's name
        return cls(data)


Script = Callable[[Stream[Message, Message]], Awaitable[None]]
Serving = Callable[..., AbstractAsyncContextManager[ClientConfig]]


def answering(*answers: betterproto.Message | bytes) -> Script:
    async def script(stream: Stream[Message, Message]) -> None:
        await stream.recv_message()
        for answer in answers:
            await stream.send_message(Message(bytes(answer)))

    return script


class Scripted:
    def __init__(self, scripts: dict[str, Script]) -> None:
        self._scripts = scripts

    def __mapping__(self) -> dict[str, Handler]:
        return {
            # As a stream: grpclib's server insists on one message where there must be one.
            f"/workerservice.WorkerService/{name}": Handler(
                script, Cardinality.UNARY_STREAM, Message, Message
            )
            for name, script in self._scripts.items()
        }


@asynccontextmanager
async def serving(
    certificates: Path, context: ssl.SSLContext | None = None, **scripts: Script
) -> AsyncIterator[ClientConfig]:
    """A script for each RPC; what is left out is unknown to the server."""
    if context is None:
        context = server_side(certificates)
    server: Any = Server([Scripted(scripts)])
    await server.start("127.0.0.1", 0, ssl=context)
    try:
        port = server._server.sockets[0].getsockname()[1]
        yield client_of(certificates, Address("127.0.0.1", port))
    finally:
        server.close()


def server_side(certificates: Path) -> ssl.SSLContext:
    return server_context(
        certificates / "ca.pem", certificates / "server.pem", certificates / "server.key"
    )


def client_of(certificates: Path, address: Address, name: str = "full") -> ClientConfig:
    return ClientConfig(
        address,
        certificates / "ca.pem",
        certificates / f"{name}.pem",
        certificates / f"{name}.key",
    )
