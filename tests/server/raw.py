"""A client that may say anything: TLS and HTTP/2, but no gRPC library that would forbid it."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

Headers = list[tuple[str, str]]
SERVICE = "/workerservice.WorkerService/"


def client_tls(certificates: Path, name: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.set_alpn_protocols(["h2"])
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def head(path: str, **changes: str | None) -> Headers:
    """Of a request; a change to None leaves the header out, `_` stands for `-`."""
    values: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    values |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [(name, value) for name, value in values.items() if value is not None]


def message(data: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    return struct.pack(">BI", compressed, len(data) if length is None else length) + data


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    is_ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> tuple[int, str]:
        """Of gRPC, and its message."""
        return int(self.headers.get("grpc-status", "-1")), self.headers.get("grpc-message", "")


class Raw:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.http2 = H2Connection(
            H2Configuration(
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.answers: dict[int, Answer] = {}
        self.goaway: int | None = None  # the last stream that was answered
        self.http2.initiate_connection()

    def send(self, headers: Headers, *parts: bytes, end: bool = True) -> int:
        """A request whose body arrives in `parts`; the number of its stream."""
        stream = self.http2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.http2.send_headers(stream, headers, end_stream=end and not parts)
        for number, part in enumerate(parts, 1):
            self.http2.send_data(stream, part, end_stream=end and number == len(parts))
        self.flush()
        return stream

    def flush(self) -> None:
        self.writer.write(self.http2.data_to_send())

    async def ended(self, stream: int) -> Answer:
        answer = self.answers[stream]
        while not answer.is_ended and await self.read():
            pass
        return answer

    async def read(self) -> bool:
        """Take what comes; False at the end of the connection."""
        data = b""
        with suppress(OSError):
            data = await self.reader.read(65536)
        if data and self.goaway is None:
            for event in self.http2.receive_data(data):
                self._on(event)
            self.flush()
        return bool(data)

    def _on(self, event: Event) -> None:
        match event:
            case ConnectionTerminated():
                self.goaway = event.last_stream_id
            case ResponseReceived() | TrailersReceived():
                self.answers[event.stream_id].headers.update(dict(event.headers))  # type: ignore[arg-type]  # decoded
            case DataReceived():
                self.answers[event.stream_id].data += event.data
                self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self.answers[event.stream_id].is_ended = True
            case StreamReset():
                self.answers[event.stream_id].is_ended = True
                self.answers[event.stream_id].reset = int(event.error_code)
            case _:
                pass


@asynccontextmanager
async def raw(port: int, tls: ssl.SSLContext) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(
        "localhost", port, ssl=tls, ssl_shutdown_timeout=1
    )
    try:
        client = Raw(reader, writer)
        client.flush()
        yield client
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
