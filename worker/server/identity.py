"""Who is at the other end of a connection: its certificate, read once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Self

from cryptography import x509
from cryptography.x509.oid import NameOID

from worker.errors import Unauthenticated
from worker.rpc.role import UNREADABLE, NoRole, Role, read_role

NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is what jobs are owned and stopped by: it outlives a renewal of the certificate."""

    name: str
    fingerprint: str
    role: Role | None
    expires_at: datetime
    why_no_role: str = ""

    @classmethod
    def of(cls, certificate_der: bytes) -> Self:
        """Of a certificate that the handshake has verified; never raises."""
        fingerprint = sha256(certificate_der).hexdigest()
        try:
            certificate = x509.load_der_x509_certificate(certificate_der)
            expires_at = certificate.not_valid_after_utc
        except UNREADABLE:  # by us, although OpenSSL took it: it will have no role
            return cls(unnamed(fingerprint), fingerprint, None, NEVER, "it can't be read here")
        name = name_in(certificate) or unnamed(fingerprint)
        try:
            return cls(name, fingerprint, read_role(certificate_der), expires_at)
        except NoRole as reason:
            return cls(name, fingerprint, None, expires_at, str(reason))

    def check_valid(self, now: datetime) -> None:
        """A connection may outlive the certificate that it was opened with."""
        if now > self.expires_at:
            raise self.expired()

    def seconds_left(self, now: datetime) -> float:
        return (self.expires_at - now).total_seconds()

    def expired(self) -> Unauthenticated:
        return Unauthenticated(
            f"the certificate of {self.name} expired at {self.expires_at:%Y-%m-%d %H:%M} UTC:"
            " renew it and connect again"
        )


def name_in(certificate: x509.Certificate) -> str | None:
    """The first common name. Not one that could forge a line of a log."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE:
        return None
    name = str(names[0].value) if names else ""
    return name if name and name.isprintable() else None


def unnamed(fingerprint: str) -> str:
    return f"sha256:{fingerprint[:16]}"
