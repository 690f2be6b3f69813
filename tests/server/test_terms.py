"""The log says when the service's certificates end, on a clock that nobody waits for."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.folder import load_pair, write_pair
from certs.issue import server_certificate
from tests.e2e.service import configured, serving
from worker.rpc.tls import server_context
from worker.server.config import ServerConfig
from worker.server.terms import DAY_S, Term, remind, terms_of, watching

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Jumps over each wait, and stops the reminder after so many."""

    def __init__(self, waits: int) -> None:
        self.now = NOW
        self._left = waits

    def read(self) -> datetime:
        return self.now

    async def wait(self, seconds: float) -> None:
        if self._left == 0:
            raise asyncio.CancelledError
        self._left -= 1
        self.now += timedelta(seconds=seconds)


async def reminded(term: Term, days: int) -> None:
    clock = Clock(days)
    with pytest.raises(asyncio.CancelledError):
        await remind([term], clock.read, clock.wait)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


async def test_it_is_said_at_the_start_and_each_day_under_thirty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await reminded(Term("x.pem", NOW + timedelta(days=32, hours=1)), days=34)
    end = "x.pem expires at 2026-02-02 01:00 UTC, in"
    todo = ": renew it, then send the service SIGHUP"
    assert logged(caplog) == [
        ("INFO", f"{end} 32 days"),
        *(("WARNING", f"{end} {days} days{todo}") for days in range(29, 1, -1)),
        ("WARNING", f"{end} 1 day{todo}"),
        ("WARNING", f"x.pem expires at 2026-02-02 01:00 UTC, in less than a day{todo}"),
        *[("WARNING", f"x.pem has expired at 2026-02-02 01:00 UTC{todo}")] * 2,
    ]


async def test_what_is_near_at_the_start_is_a_warning_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await reminded(Term("x.pem", NOW + timedelta(days=5)), days=0)
    assert [level for level, _ in logged(caplog)] == ["WARNING"]


async def test_it_ends_with_the_server() -> None:
    async with watching([Term("x.pem", NOW)]):
        await asyncio.sleep(0)  # it has begun
    assert DAY_S > 0


def test_the_authorities_of_clients_are_looked_at_too(certificates: Path, tmp_path: Path) -> None:
    config = ServerConfig.load(configured(tmp_path, certificates))
    files = config.client_ca, config.server_certificate, config.server_key
    own, authority = terms_of(config, server_context(*files))
    assert "server.pem: the certificate (CN=job-worker server) for localhost" in own.certificate
    assert "ca.pem: the authority (CN=job-worker test authority)" in authority.certificate
    assert own.last < authority.last


def test_the_service_says_it_in_its_log(certificates: Path, tmp_path: Path) -> None:
    authority = load_pair(certificates, "ca")
    write_pair(tmp_path, "ca", authority)
    pair = server_certificate(authority, ["localhost"], [], now=datetime.now(UTC), days=9)
    write_pair(tmp_path, "server", pair)
    with serving(tmp_path, tmp_path) as service:
        pass
    log = service.log.read_text()
    assert " WARNING " in log
    assert "server.pem: the certificate (CN=job-worker server) for localhost expires at" in log
    assert "in 8 days: renew it, then send the service SIGHUP\n" in log
    assert " INFO " in log
