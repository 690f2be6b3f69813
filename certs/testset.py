"""Certificates for tests and the demonstration: an authority, a server, a client of each kind."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature

from certs.authority import Pair, name_of, new_authority
from certs.folder import load_certificate, load_pair, make_folder, write_pair
from certs.issue import client_certificate, server_certificate
from worker.errors import BadConfig
from worker.rpc.role import Role

AUTHORITY: Final = "job-worker test authority"
LOCAL: Final = tuple(map(ip_address, ("127.0.0.1", "::1")))
CLIENTS: Final[dict[str, Role | None]] = {
    "full": Role.FULL,
    "readonly": Role.READONLY,
    "norole": None,
}
NAMES: Final = ("ca", "server", *CLIENTS)
LEFT: Final = timedelta(days=1)


def make_test_set(folder: Path, now: datetime) -> bool:
    """Make all anew unless all is there and stays valid for a day; whether it was made.

    Raises BadConfig for a folder with certificates that someone else may need.
    """
    make_folder(folder)
    if _is_complete(folder, now + LEFT):
        return False
    for name in NAMES:
        _check_ours(folder / f"{name}.pem")
    authority = new_authority(now, name=AUTHORITY)
    server = server_certificate(authority, ["localhost"], LOCAL, now=now)
    pairs = {"ca": authority, "server": server} | {
        name: client_certificate(authority, name, role, now=now) for name, role in CLIENTS.items()
    }
    for name, pair in pairs.items():
        write_pair(folder, name, pair, replace=True)
    return True


def _is_complete(folder: Path, until: datetime) -> bool:
    """A set that was half replaced isn't: its certificates have two authorities."""
    try:
        authority, *others = pairs = [load_pair(folder, name) for name in NAMES]
        for pair in others:
            pair.certificate.verify_directly_issued_by(authority.certificate)
    except (BadConfig, InvalidSignature, ValueError):
        return False
    return all(_is_valid(pair, until) for pair in pairs)


def _is_valid(pair: Pair, until: datetime) -> bool:
    return pair.certificate.not_valid_after_utc >= until


def _check_ours(path: Path) -> None:
    """Raise BadConfig for a certificate of another authority than this module's."""
    try:
        issuer = load_certificate(path).issuer
    except BadConfig:
        return  # missing or broken: nothing to lose
    if issuer != name_of(AUTHORITY):
        raise BadConfig(f"{path} is no test certificate: choose another folder")
