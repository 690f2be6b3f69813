"""The messages of a stream: the one of a request, and those of its answer."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

import betterproto
from grpclib.protocol import Stream

from worker.errors import InvalidRequest, NoRoom, NotBuilt
from worker.rpc.decode import decoded
from worker.rpc.wireformat import Malformed

M = TypeVar("M", bound=betterproto.Message)

PREFIX: Final = struct.Struct(">BI")  # compressed or not, length


async def received(stream: Stream, kind: type[M], limit: int) -> M:
    """The one message of a request. Raises as `next_message`."""
    message = await next_message(stream, kind, limit)
    if message is None:
        raise InvalidRequest("the request has no message")
    if await _read(stream, 1):
        raise InvalidRequest("the request has more than one message")
    return message


async def all_received(stream: Stream, kind: type[M], limit: int) -> AsyncGenerator[M, None]:
    """One is read when the former has been dealt with: so a sender waits. Raises likewise."""
    while (message := await next_message(stream, kind, limit)) is not None:
        yield message


async def next_message(stream: Stream, kind: type[M], limit: int) -> M | None:
    """None at the end. Raises InvalidRequest, NotBuilt or NoRoom; its length is judged first."""
    prefix = await _read(stream, PREFIX.size)
    if not prefix:
        return None
    compressed, size = PREFIX.unpack(prefix)
    if compressed:
        raise NotBuilt("compressed messages aren't taken: send them as they are")
    if size > limit:
        raise NoRoom(f"the message is {size} bytes long; {limit} is the most")
    data = await _read(stream, size)
    if len(data) < size:
        raise InvalidRequest("the message is cut short")
    try:
        return decoded(kind, data)
    except Malformed as error:
        raise InvalidRequest(f"the message is no {kind.__name__}: {error}") from None


async def _read(stream: Stream, size: int) -> bytes:
    """`size` bytes, or none where the request has ended."""
    try:
        return await stream.recv_data(size)
    except AssertionError:  # grpclib's word for an end within the bytes that were asked for
        raise InvalidRequest("the message is cut short") from None


async def send(stream: Stream, message: betterproto.Message) -> None:
    data = bytes(message)
    data = PREFIX.pack(0, len(data)) + data  # not both: the client may not read for days
    await stream.send_data(data)
