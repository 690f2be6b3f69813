"""Our end of the socket to the keeper: asks and their answers, and what it tells by itself.

Whatever the socket brings is checked by its class; nonsense ends the conversation, as a keeper
that can't be understood is as good as gone. Nothing else may assume where jobs run.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import Future
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from types import MappingProxyType
from typing import Final, Self

from worker.errors import (
    CannotExecute,
    InternalError,
    JobError,
    JobExists,
    JobNotFound,
    KeeperLost,
    NoRoom,
    NotNow,
    OutOfRange,
    SetupError,
    Unavailable,
)
from worker.jobs.folder import MAKE_ROOM
from worker.keeper.frames import BadFrame, Frames, encode
from worker.keeper.messages import (
    PROTOCOL,
    Accepted,
    Changed,
    Done,
    Ended,
    Grown,
    Hello,
    Input,
    Leave,
    List,
    Listed,
    ListEnd,
    Message,
    Ready,
    Refusal,
    Refused,
    Running,
    Signal,
    Spawn,
    Stop,
    Tell,
)

Event = Running | Changed | Grown | Ended | Leave
Answer = Done | Accepted | Refused | None  # None: it is gone, and nobody knows whether it was done

_ERRORS: Final[Mapping[str, type[JobError]]] = MappingProxyType(
    {
        Refusal.CANNOT_EXECUTE: CannotExecute,
        Refusal.NO_ROOM: NoRoom,
        Refusal.DISK_FULL: NoRoom,
        Refusal.EXISTS: JobExists,
        Refusal.NOT_FOUND: JobNotFound,
        Refusal.LEAVING: Unavailable,
        Refusal.NOT_NOW: NotNow,
        Refusal.OUT_OF_RANGE: OutOfRange,
        Refusal.FAULT: InternalError,
    }
)
_HELLO_S: Final = 30.0
_READ_SIZE: Final = 64 * 1024

log = logging.getLogger(__name__)


def error_of(refused: Refused) -> JobError:
    text = refused.text
    if refused.refusal == Refusal.DISK_FULL:
        text += f": {MAKE_ROOM}"
    return _ERRORS.get(refused.refusal, InternalError)(text)


def keeper_lost() -> KeeperLost:
    return KeeperLost(
        "the keeper ended, and jobs end with it: start the service, or open the state directory,"
        " again to see what became of them"
    )


class KeeperClient:
    """`hello`, then `listen` for as long as the keeper is there; everything else at any time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.epoch = ""
        self.refused: frozenset[str] = frozenset()  # jobs, before our time
        self._reader, self._writer = reader, writer
        self.is_gone = False
        self._frames = Frames()
        self._received: deque[Message] = deque()
        self._asked: dict[int, Future[Answer]] = {}
        self._numbers = count(1)

    @classmethod
    @asynccontextmanager
    async def over(cls, connection: socket.socket) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        keeper = cls(reader, writer)
        try:
            yield keeper
        finally:
            keeper.lose()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def hello(self) -> list[Listed]:
        """Its jobs that aren't final. Raises SetupError unless it answers in our protocol."""
        try:
            async with asyncio.timeout(_HELLO_S):
                return await self._hello()
        except TimeoutError as error:
            raise SetupError(f"the keeper didn't answer in {_HELLO_S:.0f} s") from error

    async def _hello(self) -> list[Listed]:
        self._send(Hello(PROTOCOL, ""))
        self._send(List())
        match await self._next():
            case Hello(protocol=protocol) if protocol != PROTOCOL:
                raise SetupError(f"the keeper speaks protocol {protocol}, not {PROTOCOL}: restart")
            case Hello(epoch=epoch):
                self.epoch = epoch
            case _:
                raise SetupError("the keeper has closed its connection: its messages say why")
        listed = []
        while isinstance(message := await self._next(), Listed):
            listed.append(message)
        if not isinstance(message, ListEnd):
            raise SetupError("the keeper ended before it had listed its jobs")
        self.refused = frozenset(message.refused)
        return listed

    async def listen(self, heed: Callable[[Event], None]) -> None:
        """Pass on what it tells, until it is gone."""
        while (message := await self._next()) is not None:
            match message:
                case Done() | Accepted() | Refused() if message.ask in self._asked:
                    _answer(self._asked.pop(message.ask), message)
                case Running() | Changed() | Grown() | Ended() | Leave():
                    heed(message)
                case _:
                    log.error("the keeper sent what no keeper sends: %s", message)
                    break
        self.lose()

    def ask(self, request: Spawn | Stop | Signal | Input, raw: bytes = b"") -> Future[Answer]:
        """Send `request` now, under a number of its own."""
        answer: Future[Answer] = asyncio.get_running_loop().create_future()
        if self.is_gone:
            answer.set_result(None)
            return answer
        number = next(self._numbers)
        self._asked[number] = answer
        self._send(replace(request, ask=number), raw)
        return answer

    async def answered(self, request: Stop | Signal | Input, raw: bytes = b"") -> Done | Accepted:
        """Raises what it refuses it for; JobNotFound for a job that is over, KeeperLost."""
        answer = await self.ask(request, raw)
        match answer:
            case Refused():
                raise error_of(answer)
            case None:
                raise keeper_lost()
            case _:
                return answer

    def tell_beyond(self, job: str, size: int) -> None:
        """Ask for one Grown when the output of `job` is longer than `size`."""
        self._send(Tell(job, size))

    def ready(self, grace_s: float) -> None:
        self._send(Ready(grace_s))

    def leave(self) -> None:
        """It ends all jobs, tells of each, closes its socket and goes."""
        self._send(Leave())

    def lose(self) -> None:
        """Nobody waits for it any more."""
        self.is_gone = True
        for future in self._asked.values():
            _answer(future, None)
        self._asked.clear()
        self._writer.transport.abort()  # close() would wait for a keeper that doesn't read

    def _send(self, message: Message, raw: bytes = b"") -> None:
        if not self.is_gone:
            self._writer.write(encode(message, raw))

    async def _next(self) -> Message | None:
        """None at the end, however it came."""
        try:
            while not self._received:
                data = await self._reader.read(_READ_SIZE)
                if not data:
                    return None
                for message, _ in self._frames.feed(data):
                    self._received.append(message)
        except ConnectionError:
            return None
        except BadFrame as error:
            log.error("the keeper sent nonsense: %s", error)
            return None
        return self._received.popleft()


def _answer(future: Future[Answer], answer: Answer) -> None:
    if not future.done():  # who asked may have been cancelled
        future.set_result(answer)
