"""A TCP relay between client and server that cuts, at any byte, and that falls silent."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, repeat

from worker.settings import Address

ENDLESS = 2**63


def random_cuts(seed: int, count: int, most: int) -> list[int]:
    """So many bytes from the server pass on each of the first connections."""
    dice = random.Random(seed)
    return [dice.randrange(most) for _ in range(count)]


@dataclass
class Relay:
    server: Address
    address: Address
    cuts: Iterable[int]
    connections: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    speaks: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """All connections, in the middle of whatever is said."""
        for writer in self.open:
            writer.transport.abort()

    def mute(self) -> None:
        """Say nothing any more on those that are open, and close none."""
        self.speaks.clear()
        self.speaks = asyncio.Event()
        self.speaks.set()


@asynccontextmanager
async def relayed(server: Address, cuts: Iterable[int] = ()) -> AsyncIterator[Relay]:
    limits = chain(cuts, repeat(ENDLESS))
    relay = Relay(server, server, limits)
    relay.speaks.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay.connections += 1
        limit, speaks = next(limits), relay.speaks
        with suppress(OSError):
            to_server, from_client = reader, writer
            from_server, server_writer = await asyncio.open_connection(server.host, server.port)
            ends = {writer, server_writer}
            relay.open |= ends
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(carry(to_server, server_writer, ENDLESS, speaks))
                    tasks.create_task(carry(from_server, from_client, limit, speaks))
            except* (Cut, OSError):
                pass
            finally:
                relay.open -= ends
                for end in ends:
                    end.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        relay.address = Address("localhost", listener.sockets[0].getsockname()[1])
        yield relay
        relay.cut()


class Cut(Exception):
    pass


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int, speaks: asyncio.Event
) -> None:
    left = limit
    while data := await reader.read(min(left, 65536) or 1):
        await speaks.wait()
        writer.write(data[:left])
        await writer.drain()
        left -= len(data)
        if left <= 0:
            raise Cut
    raise Cut
