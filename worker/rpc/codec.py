"""How a client's channel reads answers: strictly, so that no odd one can end it unexplained."""

from __future__ import annotations

import betterproto
from grpclib.encoding.base import CodecBase

from worker.errors import InternalError
from worker.rpc.decode import decoded
from worker.rpc.wireformat import Malformed


class StrictCodec(CodecBase):
    __content_subtype__ = "proto"

    def encode(
        self, message: betterproto.Message, message_type: type[betterproto.Message]
    ) -> bytes:
        if not isinstance(message, message_type):
            raise TypeError(f"{message!r} is not a {message_type.__name__}")
        return bytes(message)

    def decode(self, data: bytes, message_type: type[betterproto.Message]) -> betterproto.Message:
        try:
            return decoded(message_type, data)
        except Malformed as error:
            raise InternalError(
                f"the server's {message_type.__name__} is damaged: {error}"
            ) from error
