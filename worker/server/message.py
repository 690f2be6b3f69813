"""The messages of a stream: the one of a request, and those of its answer."""

from __future__ import annotations

import struct
from typing import Final, TypeVar

import betterproto
from grpclib.protocol import Stream

from worker.errors import InvalidRequest, NoRoom, NotBuilt
from worker.rpc.decode import decoded
from worker.rpc.wireformat import Malformed

M = TypeVar("M", bound=betterproto.Message)

PREFIX: Final = struct.Struct(">BI")  # compressed or not, length


async def received(stream: Stream, kind: type[M], limit: int) -> M:
    """Raises InvalidRequest, NotBuilt or NoRoom. Its length is judged before it is buffered."""
    prefix = await _read(stream, PREFIX.size)
    if not prefix:
        raise InvalidRequest("the request has no message")
    compressed, size = PREFIX.unpack(prefix)
    if compressed:
        raise NotBuilt("compressed messages aren't taken: send them as they are")
    if size > limit:
        raise NoRoom(f"the message is {size} bytes long; {limit} is the most")
    data = await _read(stream, size)
    if len(data) < size:
        raise InvalidRequest("the message is cut short")
    if await _read(stream, 1):
        raise InvalidRequest("the request has more than one message")
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
    await stream.send_data(PREFIX.pack(0, len(data)) + data)
