from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certs.authority import SKEW, Pair, new_authority
from certs.issue import client_certificate, issued, server_certificate
from certs.show import shown
from worker.errors import BadConfig
from worker.rpc.role import ROLE_OID, Role

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PATH = Path("x.pem")
EXPIRED = "none: expired at 2026-05-11 12:00 UTC"  # 10 days after NOW


@pytest.fixture(scope="module")
def authority() -> Pair:
    return new_authority(NOW)


def facts(pair: Pair, now: datetime = NOW) -> dict[str, str]:
    head, *lines = shown(PATH, pair.certificate, now).splitlines()
    assert head == "x.pem"
    return {line[2:12].strip(): line[12:] for line in lines}


def test_a_clients_is_shown_with_its_role(authority: Pair) -> None:
    pair = client_certificate(authority, "ada", Role.READONLY, now=NOW, days=20)
    assert facts(pair) == {
        "subject": "CN=ada",
        "issuer": "CN=job-worker authority",
        "for": "clients",
        "role": "readonly",
        "valid": "from 2026-05-01 11:55 to 2026-05-21 12:00 UTC",
        "days left": "20",
        "sha256": pair.certificate.fingerprint(hashes.SHA256()).hex(":"),
    }


def test_a_servers_is_shown_with_its_names_and_no_role(authority: Pair) -> None:
    addresses = [ip_address("127.0.0.1"), ip_address("::1")]
    found = facts(server_certificate(authority, ["a.example"], addresses, now=NOW))
    assert (found["for"], found["names"]) == ("servers", "a.example, 127.0.0.1, ::1")
    assert "role" not in found


def test_an_authority_is_called_one(authority: Pair) -> None:
    found = facts(authority)
    assert found["for"] == "authority"
    assert found.keys().isdisjoint({"role", "names"})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(None, "none: it lacks the extension 1.2.840.10070.8.1", id="no role"),
        pytest.param(b"\x0c\x05full ", r"holds b'\x0c\x05full '", id="a role that is none"),
    ],
)
def test_why_there_is_no_role_is_said(authority: Pair, value: bytes | None, said: str) -> None:
    extensions = [] if value is None else [x509.UnrecognizedExtension(ROLE_OID, value)]
    found = facts(issued(authority, "ada", extensions, now=NOW))
    assert said in found["role"]
    assert found["for"] == "any"


@pytest.mark.parametrize(
    ("since_issue", "said"),
    [
        pytest.param(timedelta(0), "10", id="ten days"),
        pytest.param(timedelta(days=9, hours=1), "0", id="some hours"),
        pytest.param(timedelta(days=10, hours=1), EXPIRED, id="just now"),
        pytest.param(timedelta(days=12, hours=1), EXPIRED, id="long ago"),
        pytest.param(-SKEW - timedelta(days=1), "11, not valid yet", id="not yet"),
    ],
)
def test_days_left_are_whole_ones(authority: Pair, since_issue: timedelta, said: str) -> None:
    pair = client_certificate(authority, "ada", Role.FULL, now=NOW, days=10)
    assert facts(pair, NOW + since_issue)["days left"] == said


def test_nothing_in_a_name_commands_the_terminal(authority: Pair) -> None:
    found = facts(issued(authority, "a\x1b[2J\nb", [], now=NOW))
    assert found["subject"] == r"CN=a\x1b[2J\x0ab"


def test_what_can_not_be_read_is_said_with_the_file(authority: Pair) -> None:
    strange = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\xa3\x01\x00")
    with pytest.raises(BadConfig, match=r"x\.pem: a certificate that can't be read"):
        facts(issued(authority, "ada", [strange], now=NOW))
