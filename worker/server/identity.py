"""Who is at the other end of a connection: its certificate, read once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Self

from cryptography import x509
from cryptography.x509.oid import NameOID

from worker.errors import Unauthenticated
from worker.rpc.role import Role, role_of


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is what jobs are owned and stopped by: it outlives a renewal of the certificate."""

    name: str
    fingerprint: str
    role: Role | None
    expires_at: datetime

    @classmethod
    def of(cls, certificate_der: bytes) -> Self:
        """Of a certificate that the handshake has verified; never raises.

        One that OpenSSL takes and that can't be read here has no role and no time left.
        """
        fingerprint = sha256(certificate_der).hexdigest()
        try:
            certificate = x509.load_der_x509_certificate(certificate_der)
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            expires_at = certificate.not_valid_after_utc
        except (ValueError, x509.InvalidVersion):
            return cls(f"sha256:{fingerprint[:16]}", fingerprint, None, datetime.now(UTC))
        name = str(names[0].value) if names else f"sha256:{fingerprint[:16]}"
        return cls(name, fingerprint, role_of(certificate_der), expires_at)

    def check_valid(self, now: datetime) -> None:
        """A connection may outlive the certificate that it was opened with."""
        if now > self.expires_at:
            raise Unauthenticated(
                f"the certificate of {self.name} expired at {self.expires_at:%Y-%m-%d %H:%M} UTC:"
                " connect with a new one"
            )
