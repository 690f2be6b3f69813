"""A certificate anew: the same subject, names and role, with a new key and new dates."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from certs.authority import SKEW, Pair
from certs.folder import keep_pair, load_certificate, write_pair
from certs.issue import certified
from certs.show import use_of
from worker.errors import BadConfig

# What belongs to the key, the issuer, or every certificate that is made here.
_MADE_ANEW: Final = (
    x509.AuthorityKeyIdentifier,
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.SubjectKeyIdentifier,
)


def renew(
    folder: Path, name: str, authority: Pair, *, now: datetime, days: int | None = None
) -> tuple[Pair, Path]:
    """The new pair in `folder`, and where the certificate that it had was put.

    `days`: None is as long as the old one was valid. Raises BadConfig for an authority's, and
    for one that `authority` hasn't issued.
    """
    path = folder / f"{name}.pem"
    old = load_certificate(path)
    _check_renewable(path, old, authority)
    pair = renewed(authority, old, now=now, days=days)
    kept = keep_pair(folder, name, old)
    write_pair(folder, name, pair, replace=True)
    return pair, kept


def renewed(
    authority: Pair, old: x509.Certificate, *, now: datetime, days: int | None = None
) -> Pair:
    extensions = [each.value for each in old.extensions if not isinstance(each.value, _MADE_ANEW)]
    lifetime = old.not_valid_after_utc - old.not_valid_before_utc - SKEW
    if days is None:
        days = max(1, round(lifetime / timedelta(days=1)))
    return certified(authority, old.subject, extensions, now=now, days=days)


def _check_renewable(path: Path, old: x509.Certificate, authority: Pair) -> None:
    if use_of(old) == "authority":
        raise BadConfig(
            f"{path} is an authority's: create a new one in another folder, and let both be "
            "trusted until all certificates are of the new one"
        )
    try:
        old.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, TypeError, ValueError) as error:
        raise BadConfig(f"{path} was not issued by the authority in {path.parent}") from error
