"""The client's own files, before anything is dialled: what no server could accept is said here."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from worker.client.config import ClientConfig
from worker.rpc.credentials import check_file
from worker.rpc.role import UNREADABLE
from worker.rpc.tls import client_context
from worker.rpc.usage import Purpose, check_usage


@dataclass(frozen=True, slots=True)
class Credentials:
    """`shown`: what the certificate's file holds."""

    context: ssl.SSLContext
    shown: bytes


def examined(config: ClientConfig) -> Credentials:
    """For the next dial. Raises BadCredentials, each fault as a class of its own.

    That the certificate is of an authority in `serverCA` isn't asked for: servers and clients may
    have different ones.
    """
    check_file(config.client_certificate)
    # First: of a file that is replaced meanwhile, the older is what a connection seems to show.
    shown = config.client_certificate.read_bytes()
    context = client_context(config.server_ca, config.client_certificate, config.client_key)
    check_usage(config.client_certificate, Purpose.CLIENT)
    return Credentials(context, shown)


def is_vouched_for(certificate: Path, authorities: Path) -> bool:
    """Whether one of the chain in the one file is issued by one of the other."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        above = x509.load_pem_x509_certificates(authorities.read_bytes())
    except (OSError, *UNREADABLE):
        return False
    return any(_is_issued_by(each, one) for each in chain for one in above)


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
