"""The server's side of a handshake that fails: the client is told why, and so is the log.

OpenSSL writes an alert ("certificate expired", "unknown CA") that asyncio drops (gh-98078 of
CPython): the client would see its connection close, and not a word. So a failure is held back
here: asyncio then sends what is written and waits for the client, which goes once it has read it.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

log = logging.getLogger(__name__)

DISCARDED: Final = 64 * 1024  # bytes that a client may have sent before it reads the alert
QUIET_S: Final = 60.0  # so that strangers can't fill the log


class ServerHandshake(ssl.SSLObject):
    incoming: ssl.MemoryBIO
    refusals: Refusals
    _failure: ssl.SSLError | None = None
    _discarded: int = 0

    def do_handshake(self) -> None:
        if self._failure is None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as failure:
                self._failure = failure
                self.refusals.add(reason_of(failure))
            else:
                return
        self._discarded += len(self.incoming.read())
        if self._discarded > DISCARDED:
            raise self._failure
        raise ssl.SSLWantReadError  # its time limit is that of every handshake

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - ssl's own
        """Empty in its decoded form, which asyncio asks for and nobody reads.

        Its decoder raises UnicodeDecodeError at certificates that OpenSSL has accepted.
        """
        return super().getpeercert(binary_form=True) if binary_form else {}


class ServerContext(ssl.SSLContext):
    sslobject_class = ServerHandshake

    def __init__(self, _protocol: int) -> None:
        self._refusals = Refusals()

    def wrap_bio(self, incoming: ssl.MemoryBIO, *rest: Any, **named: Any) -> ServerHandshake:
        made = cast("ServerHandshake", super().wrap_bio(incoming, *rest, **named))
        made.incoming, made.refusals = incoming, self._refusals
        return made


class Refusals:
    """Each reason is logged at once, then at most once a minute, with what was left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quiet_until: dict[str, float] = {}  # OpenSSL has a limited number of reasons
        self._unsaid: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        now = self._clock()
        if now < self._quiet_until.get(reason, now):
            self._unsaid[reason] += 1
            return
        self._quiet_until[reason] = now + QUIET_S
        unsaid = self._unsaid.pop(reason, 0)
        more = f" (and {unsaid} more since the last such line)" if unsaid else ""
        log.warning("refused a handshake: %s%s", reason, more)


def reason_of(failure: ssl.SSLError) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"the client's certificate: {failure.verify_message}"
    return (failure.reason or "no TLS").lower().replace("_", " ")
