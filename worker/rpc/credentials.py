"""The files that TLS stands on: read, judged and loaded, or refused with their name.

OpenSSL would say "PEM lib" for most of these faults, and ask for a passphrase on the terminal.
"""

from __future__ import annotations

import os
import shlex
import ssl
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Never

from cryptography import x509

from worker.errors import (
    BadCredentials,
    CertificateExpired,
    EncryptedKey,
    ExposedKey,
    MissingFile,
    NotYetValid,
    UnreadableFile,
    WrongKey,
)
from worker.rpc.names import subject_in, subject_of
from worker.rpc.role import UNREADABLE

_MISMATCH: Final = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")  # the latter: of another kind


def load_authority(context: ssl.SSLContext, ca: Path) -> None:
    """Trust the authorities in `ca`, and no other; one may itself be certified by another.

    Where there are several, one that has expired is no fault: another takes its place.
    """
    check_file(ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise BadCredentials(
            f"{ca}: no PEM certificate of an authority in it: put the authority's there"
        ) from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate in `ca` will do
    try:
        authorities = context.get_ca_certs()
    except ValueError as error:  # Python's decoder is stricter than OpenSSL
        raise BadCredentials(f"{ca}: a certificate in it can't be read: {error}") from error
    check_authorities(ca, authorities, datetime.now(UTC))


def load_identity(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Present `certificate` and what follows it in that file, with its `key`."""
    check_file(certificate)
    check_dates(certificate, datetime.now(UTC))
    check_file(key)
    check_mode(key)

    def no_passphrase() -> Never:
        raise EncryptedKey(
            f"{key}: the key is encrypted, and nobody could type the passphrase: "
            "decrypt it with `openssl pkey -in OLD -out NEW`"
        )

    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason in _MISMATCH:
            raise WrongKey(
                f"{key} is not the key of the first certificate in {certificate}: "
                "name the two that were issued together"
            ) from error
        if error.reason is None:  # "PEM lib", and the certificate has been read before
            raise BadCredentials(
                f"{key}: no PEM private key in it: name the key that was issued with {certificate}"
            ) from error
        said = error.reason.lower().replace("_", " ")
        raise BadCredentials(
            f"{certificate}: OpenSSL refuses it with {key} ({said}): have a new one issued"
        ) from error


def check_file(path: Path) -> None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be read for ever
            raise UnreadableFile(f"{path} is not a file: correct the path in the configuration")
        with path.open("rb"):
            pass
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFile(
            f"{path}: {error.strerror}: correct the path in the configuration"
        ) from error
    except OSError as error:
        raise UnreadableFile(
            f"{path}: {error.strerror}: it must be a file that this user can read"
        ) from error
    except ValueError as error:  # a NUL in the name
        raise MissingFile(f"{str(path)!r} can't be the name of a file") from error


def check_mode(key: Path) -> None:
    """PostgreSQL's rule: a key is for its owner alone; one of root's may be read by a group."""
    if os.name != "posix":
        return  # there the mode says nothing
    found = key.stat()
    forbidden = 0o037 if found.st_uid == 0 else 0o077
    if found.st_mode & forbidden:
        raise ExposedKey(
            f"{key}: others can get at this key (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod 600 {shlex.quote(str(key))}"
        )


def check_authorities(ca: Path, found: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Raise BadCredentials unless one of them, as ssl describes them, is an authority at `now`."""
    if not found:  # OpenSSL takes any certificate, and ssl lists those of authorities
        raise BadCredentials(
            f"{ca}: no certificate of an authority in it, but another's: put the authority's there"
        )
    spans = [(utc_of(each["notBefore"]), utc_of(each["notAfter"])) for each in found]
    if any(first <= now <= last for first, last in spans):
        return
    check_span(ca, f"the authority ({subject_in(found[0])})", spans[0], now)


def utc_of(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def check_dates(path: Path, now: datetime) -> None:
    """Raise BadCredentials unless the first certificate in `path` is valid at `now`."""
    try:
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
        span = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    except UNREADABLE as error:
        raise BadCredentials(f"{path}: no PEM certificate that can be read: {error}") from error
    check_span(path, f"the certificate ({subject_of(leaf)})", span, now)


def check_span(path: Path, what: str, span: tuple[datetime, datetime], now: datetime) -> None:
    first, last = span
    if now < first:
        raise NotYetValid(
            f"{path}: {what} is valid from {first:%Y-%m-%d %H:%M} UTC on, and the clock says "
            f"{now:%Y-%m-%d %H:%M}: set the clock, or wait"
        )
    if now > last:
        raise CertificateExpired(
            f"{path}: {what} expired at {last:%Y-%m-%d %H:%M} UTC: have a new one issued"
        )
