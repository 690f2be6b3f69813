"""Who may what: deny by default."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gen.workerservice import WorkerServiceBase
from worker import Registry
from worker.errors import PermissionDenied, Unauthenticated
from worker.rpc.role import Role
from worker.server.call import PREFIX
from worker.server.identity import Identity
from worker.server.permitted import Permitted
from worker.server.policy import ROLES, check_allowed
from worker.server.service import Service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READERS = {"QueryStatus", "GetOutput", "Wait", "List", "Watch"}


def someone(role: Role | None) -> Identity:
    return Identity("alice", "00", role, NOW)


def test_every_rpc_is_in_the_table_and_nothing_else() -> None:
    paths = WorkerServiceBase().__mapping__()
    assert {PREFIX + rpc for rpc in ROLES} == set(paths)


def test_every_rpc_has_its_method(tmp_path: Path) -> None:
    service = Service(Registry(tmp_path), Permitted())
    assert service.methods.keys() == ROLES.keys()


@pytest.mark.parametrize("rpc", ROLES)
def test_full_may_all(rpc: str) -> None:
    check_allowed(rpc, someone(Role.FULL))


@pytest.mark.parametrize("rpc", ROLES)
def test_readonly_may_read(rpc: str) -> None:
    if rpc in READERS:
        check_allowed(rpc, someone(Role.READONLY))
    else:
        with pytest.raises(PermissionDenied, match=f"^{rpc} needs the role full; .*alice"):
            check_allowed(rpc, someone(Role.READONLY))


@pytest.mark.parametrize("rpc", ROLES)
def test_no_role_may_nothing(rpc: str) -> None:
    with pytest.raises(PermissionDenied, match=r"needs the role full.*alice has no role"):
        check_allowed(rpc, someone(None))


def test_what_is_not_in_the_table_is_for_nobody() -> None:
    with pytest.raises(PermissionDenied):
        check_allowed("Shutdown", someone(Role.FULL))


def der(certificates: Path, name: str) -> bytes:
    pem = (certificates / f"{name}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("name", "role"), [("full", Role.FULL), ("readonly", Role.READONLY), ("norole", None)]
)
def test_an_identity_is_what_the_certificate_says(
    certificates: Path, name: str, role: Role | None
) -> None:
    identity = Identity.of(der(certificates, name))
    assert (identity.name, identity.role) == (name, role)
    assert identity.expires_at > datetime.now(UTC)


def test_a_certificate_that_can_not_be_read_has_no_role_and_says_so() -> None:
    identity = Identity.of(b"\x30\x03\x02\x01\x01")
    assert identity.role is None
    assert identity.name.startswith("sha256:")
    identity.check_valid(datetime.now(UTC))
    with pytest.raises(PermissionDenied, match=r"has no role: it can't be read here"):
        check_allowed("Wait", identity)


def test_a_connection_does_not_outlive_its_certificate() -> None:
    identity = someone(Role.FULL)
    identity.check_valid(NOW)
    with pytest.raises(Unauthenticated, match="alice expired at 2026-01-01 00:00 UTC"):
        identity.check_valid(NOW + timedelta(microseconds=1))
