"""Why a server couldn't be reached: a class of ours and one sentence that says what to do.

What another attempt may mend is an Unavailable; all else ends at once.
"""

from __future__ import annotations

import errno
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from worker.client.config import ClientConfig
from worker.client.examine import is_vouched_for
from worker.client.look import shown_by
from worker.errors import (
    CertificateRefused,
    ConnectionLost,
    NoAnswer,
    NotListening,
    OtherAuthority,
    OtherName,
    OtherProtocol,
    ServerExpired,
    ServerNotYetValid,
    Unavailable,
    UnknownHost,
    UntrustedServer,
    WorkerError,
)
from worker.rpc.names import issuer_of, names_in, subject_of
from worker.rpc.role import UNREADABLE
from worker.settings import Address

# X509_V_ERR_... of OpenSSL's x509_vfy.h, which ssl gives as numbers.
NOT_YET_VALID: Final = 9
HAS_EXPIRED: Final = 10
NAME_DIFFERS: Final = frozenset({62, 64})  # a host's, an address's
NOT_VOUCHED_FOR: Final = frozenset({2, 7, 18, 19, 20, 21})  # issuer unknown, self-signed, forged

REFUSED: Final = f"[Errno {errno.ECONNREFUSED}]"
CLOSED: Final = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
)

# The alert with which a server refuses a client's certificate -> why, and what to do.
REFUSALS: Final = {
    "UNKNOWN_CA": "it doesn't know that authority: have one issued by the authority in clientCA",
    "CERTIFICATE_EXPIRED": "it has expired by the server's clock: renew it, or set the clocks",
    "CERTIFICATE_REVOKED": "it is revoked: have a new one issued",
    "UNSUPPORTED_CERTIFICATE": "it is not for a client: have one issued for a client",
    "BAD_CERTIFICATE": "it is not valid yet by the server's clock, or too weak: issue a new one",
    "CERTIFICATE_UNKNOWN": "something in it is unacceptable: the server's log says what",
    "CERTIFICATE_REQUIRED": "it wants another one: have one issued by the authority in clientCA",
    "ACCESS_DENIED": "it isn't let in: the server's log says why",
}


async def diagnosed(config: ClientConfig, error: OSError | UnicodeError) -> WorkerError:
    """The error of ours for one that broke the connection before any request."""
    match error:
        case ssl.SSLCertVerificationError():
            return untrusted(config, error, await shown_by(config.server_address))
        case ssl.SSLError() if not isinstance(error, CLOSED):
            return refused(config, error)
        case _:
            return unreachable(config.server_address, error)


def unreachable(address: Address, error: OSError | UnicodeError) -> WorkerError:
    kind: type[WorkerError]
    match error:
        case TimeoutError():
            kind, what = NoAnswer, "doesn't answer: check serverAddress, firewall and network"
        case UnicodeError():
            kind, what = UnknownHost, "can't be the name of a host: correct serverAddress"
        case socket.gaierror(errno=socket.EAI_AGAIN):
            kind, what = Unavailable, "can't be looked up at the moment: check the network"
        case socket.gaierror():
            kind, what = UnknownHost, f"isn't known ({error.strerror}): correct serverAddress"
        case _ if isinstance(error, CLOSED):
            kind = ConnectionLost
            what = (
                "closed the connection before it said anything: it may be stopping,"
                " or not accept this certificate; its log says why"
            )
        # A host with several addresses has several errors in one text, and no class.
        case _ if isinstance(error, ConnectionRefusedError) or REFUSED in str(error):
            kind, what = NotListening, "refused the connection: is workerserver running there?"
        case _:
            kind = Unavailable
            what = f"can't be reached ({error.strerror or error}): check serverAddress"
    return kind(f"{address} {what}")


def refused(config: ClientConfig, error: ssl.SSLError) -> WorkerError:
    """The handshake came to nothing: by the server's alert, or because it isn't TLS 1.3."""
    alert = (error.reason or "").partition("_ALERT_")[2]
    if alert not in REFUSALS:
        said = (error.reason or str(error)).lower().replace("_", " ")
        return OtherProtocol(
            f"{config.server_address} refused the TLS handshake ({said}):"
            " is it a workerserver? check serverAddress"
        )
    path = config.client_certificate
    where = ""
    if alert == "UNKNOWN_CA" and not is_vouched_for(path, config.server_ca):
        where = f" (neither does {config.server_ca} have it)"
    return CertificateRefused(
        f"the server at {config.server_address} refuses {path}{described(path)}{where}:"
        f" {REFUSALS[alert]}"
    )


def described(path: Path) -> str:
    try:
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, *UNREADABLE):
        return ""
    return f" ({subject_of(leaf)}, issued by {issuer_of(leaf)})"


def untrusted(
    config: ClientConfig, error: ssl.SSLCertVerificationError, shown: x509.Certificate | None
) -> UntrustedServer:
    """`shown`: the certificate that the server shows, as far as it could be had."""
    address, now = config.server_address, datetime.now(UTC)
    its = f"{address}: the server's certificate"
    if error.verify_code in NAME_DIFFERS:
        names = "another name" if shown is None else names_in(shown)
        return OtherName(
            f"{its} is for {names}, you asked for {address.host}:"
            " correct serverAddress, or have that name put into the certificate"
        )
    if shown is not None:
        its += f" ({subject_of(shown)})"
    if error.verify_code in NOT_VOUCHED_FOR:
        issuer = "an authority" if shown is None else issuer_of(shown)
        return OtherAuthority(
            f"{its} is issued by {issuer}, which {config.server_ca} doesn't vouch for:"
            " correct serverCA or serverAddress, or have the server send its intermediate"
        )
    if error.verify_code == HAS_EXPIRED:
        if shown is None or shown.not_valid_after_utc > now:
            return ServerExpired(f"{its}, or one above it, has expired: have it renewed")
        return ServerExpired(
            f"{its} expired at {shown.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: have it renewed"
        )
    if error.verify_code == NOT_YET_VALID:
        return ServerNotYetValid(
            f"{its} isn't valid yet, and the clock here says {now:%Y-%m-%d %H:%M} UTC:"
            " compare the clocks"
        )
    return UntrustedServer(
        f"{its} won't do ({error.verify_message}): correct serverAddress and serverCA"
    )
