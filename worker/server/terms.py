"""When the service's certificates end: its log says it at each start, and daily once it is near."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Never

from cryptography import x509

from worker.rpc.credentials import utc_of
from worker.rpc.expiry import in_words, is_near
from worker.rpc.names import names_in, subject_in, subject_of
from worker.server.config import ServerConfig

log = logging.getLogger(__name__)

DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Term:
    certificate: str  # as the start of a sentence
    last: datetime

    def text(self, now: datetime) -> str:
        return f"{self.certificate} {in_words(self.last, now)}"


def terms_of(config: ServerConfig, context: ssl.SSLContext) -> list[Term]:
    """Of the server's own certificate, then of the authorities that `context` trusts."""
    path, ca = config.server_certificate, config.client_ca
    own = x509.load_pem_x509_certificates(path.read_bytes())[0]
    what = f"{path}: the certificate ({subject_of(own)}) for {names_in(own)}"
    authorities = [
        Term(f"{ca}: the authority ({subject_in(each)})", utc_of(str(each["notAfter"])))
        for each in context.get_ca_certs()
    ]
    return [Term(what, own.not_valid_after_utc), *authorities]


@asynccontextmanager
async def watching(terms: Sequence[Term]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(remind(terms))
        yield
        watch.cancel()


async def remind(
    terms: Sequence[Term],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Never:
    for term in terms:
        if not is_near(term.last, clock()):
            log.info("%s", term.text(clock()))
    while True:
        now = clock()
        for term in terms:
            if is_near(term.last, now):
                log.warning("%s: renew it, then send the service SIGHUP", term.text(now))
        await wait(DAY_S)
