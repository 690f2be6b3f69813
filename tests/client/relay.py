"""A TCP relay between client and server that cuts, at any byte, and that falls silent."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import repeat

from worker.settings import Address

ENDLESS = 2**63


def random_cuts(seed: int, count: int, most: int) -> list[int]:
    """So many bytes from the server pass on each of the first connections."""
    dice = random.Random(seed)
    return [dice.randrange(most) for _ in range(count)]


class Cut(Exception):
    """The end of a connection."""


class Relay:
    def __init__(self, server: Address, cuts: Iterable[int]) -> None:
        self.address = server  # until it listens
        self.connections = 0
        self._server = server
        self._cuts = iter(cuts)
        self._open: set[asyncio.StreamWriter] = set()
        self._speaks = asyncio.Event()
        self._speaks.set()

    def cut(self, always_after: int | None = None) -> None:
        """All connections, in the middle of whatever is said; new ones after so many bytes."""
        if always_after is not None:
            self._cuts = repeat(always_after)
        for writer in self._open:
            writer.transport.abort()

    def heal(self) -> None:
        self._cuts = repeat(ENDLESS)

    def mute(self) -> None:
        """Those that are open say nothing any more, and don't end either."""
        self._speaks.clear()
        self._speaks = asyncio.Event()
        self._speaks.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        limit, speaks = next(self._cuts, ENDLESS), self._speaks
        ends = {writer}
        try:
            from_server, to_server = await asyncio.open_connection(
                self._server.host, self._server.port
            )
            ends.add(to_server)
            self._open |= ends
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(carry(reader, to_server, ENDLESS, speaks))
                tasks.create_task(carry(from_server, writer, limit, speaks))
        except* (Cut, OSError):
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


@asynccontextmanager
async def relayed(server: Address, cuts: Iterable[int] = ()) -> AsyncIterator[Relay]:
    """Each of the first connections is cut after so many bytes from the server."""
    relay = Relay(server, cuts)
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    async with listener:
        relay.address = Address("127.0.0.1", listener.sockets[0].getsockname()[1])
        yield relay
        relay.cut()


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int, speaks: asyncio.Event
) -> None:
    while limit > 0:
        data = await reader.read(min(limit, 65536))
        if not data:
            break
        await speaks.wait()
        writer.write(data)
        await writer.drain()
        limit -= len(data)
    raise Cut
