"""The head of a request and of an answer, as gRPC lays them over HTTP/2.

Source: doc/PROTOCOL-HTTP2.md of gRPC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from grpclib.const import Status
from grpclib.metadata import encode_grpc_message

from worker.errors import InvalidRequest
from worker.server.limits import SENTENCE

Headers = Iterable[tuple[str, str]]

_ACCEPTED: Final = frozenset({"application/grpc", "application/grpc+proto"})
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

# Every answer bears a content type: without one, clients don't look at its status.
ANSWER: Final = (
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-accept-encoding", "identity"),
)


class NotGrpc(Exception):
    """No request of gRPC: answered with a status of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    path: str
    timeout: float | None  # seconds; None: the client waits for ever

    @classmethod
    def parsed(cls, headers: Headers) -> Self:
        """Raises NotGrpc, or InvalidRequest."""
        values = dict(headers)
        if values.get(":method") != "POST":
            raise NotGrpc(405)
        content_type, _, _ = values.get("content-type", "").partition(";")
        if content_type not in _ACCEPTED:
            raise NotGrpc(415)
        return cls(values.get(":path", ""), _seconds(values.get("grpc-timeout")))


def _seconds(timeout: str | None) -> float | None:
    if timeout is None:
        return None
    match = _TIMEOUT.fullmatch(timeout)
    if match is None:
        raise InvalidRequest("grpc-timeout is not one to eight digits and a unit")
    return int(match[1]) * _UNITS[match[2]]


def trailers(status: Status, message: str) -> list[tuple[str, str]]:
    end = [("grpc-status", str(status.value))]
    return [*end, ("grpc-message", encode_grpc_message(_short(message)))] if message else end


def _short(message: str) -> str:
    """What was wrong stands at the beginning, what to do at the end; a long name between them."""
    if len(message) <= SENTENCE:
        return message
    return f"{message[: SENTENCE // 2]}...{message[-SENTENCE // 2 :]}"
