"""The client's own files, before anything is dialled: what no server could accept is said here."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from worker.client.config import ClientConfig
from worker.errors import WrongUsage
from worker.rpc.names import subject_of
from worker.rpc.role import UNREADABLE
from worker.rpc.tls import client_context


def examined(config: ClientConfig) -> ssl.SSLContext:
    """For the next dial. Raises BadCredentials, each fault as a class of its own.

    That the certificate is of an authority in `serverCA` isn't asked for: servers and clients may
    have different ones.
    """
    context = client_context(config.server_ca, config.client_certificate, config.client_key)
    check_usage(config.client_certificate)
    return context


def check_usage(path: Path) -> None:
    """Raise WrongUsage where the certificate names its uses, and to be a client isn't one."""
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    try:
        values = {each.oid: each.value for each in leaf.extensions}
    except UNREADABLE:
        return  # by us; the server will say what it thinks of it
    if not (_may_be_client(values) and _may_sign(values)):
        raise WrongUsage(
            f"{path}: the certificate ({subject_of(leaf)}) is not for a client by its usage:"
            " have one issued for a client, with `workercerts client`"
        )


def _may_be_client(values: dict[x509.ObjectIdentifier, x509.ExtensionType]) -> bool:
    uses = values.get(x509.ExtendedKeyUsage.oid)
    if not isinstance(uses, x509.ExtendedKeyUsage):
        return True
    fitting = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return not fitting.isdisjoint(uses)


def _may_sign(values: dict[x509.ObjectIdentifier, x509.ExtensionType]) -> bool:
    """Sign the handshake, that is; OpenSSL takes key agreement for it, too."""
    usage = values.get(x509.KeyUsage.oid)
    if not isinstance(usage, x509.KeyUsage):
        return True
    return usage.digital_signature or usage.key_agreement


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
