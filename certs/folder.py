"""A folder of certificates: NAME.pem and NAME.key, of which `ca` is the authority.

A key is 0600 from its first byte on and the folder 0700, whatever the umask. A file is written
beside its place and then put there: it is whole or not there.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import Pair
from worker.errors import BadConfig
from worker.rpc.role import UNREADABLE

_NUMBER_SHOWN: Final = 8  # hexadecimal digits


def make_folder(folder: Path) -> None:
    """Create `folder` if it is missing, with the ones above it; it alone is closed to others."""
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise BadConfig(f"{folder} is not a folder") from None
    except OSError as error:
        raise BadConfig(f"{folder}: {error.strerror}") from error


def write_pair(folder: Path, name: str, pair: Pair, *, replace: bool = False) -> None:
    """Raises BadConfig where a file of that name exists, unless it is to be replaced."""
    key = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    if not replace:
        _check_free(folder, name)
    # The key first: of two that write one name at the same time, one gets both files.
    _put(folder / f"{name}.key", key, 0o600, replace=replace)
    certificate = pair.certificate.public_bytes(serialization.Encoding.PEM)
    _put(folder / f"{name}.pem", certificate, 0o644, replace=replace)


def keep_pair(folder: Path, name: str, certificate: x509.Certificate) -> Path:
    """Give both files of `certificate` a second name, which bears its number: that of the latter.

    Where they have it, an earlier attempt was cut short after this: what it kept is right. The
    key may be elsewhere: it belongs to who uses it.
    """
    kept = f"{name}.{certificate.serial_number:040x}"[: len(name) + 1 + _NUMBER_SHOWN]
    for end in ("key", "pem"):
        path = folder / f"{kept}.{end}"
        try:
            path.hardlink_to(folder / f"{name}.{end}")
        except (FileExistsError, FileNotFoundError):
            continue
        except OSError as error:
            raise BadConfig(f"{path}: {error.strerror}") from error
    return folder / f"{kept}.pem"


def _check_free(folder: Path, name: str) -> None:
    for path in (folder / f"{name}.key", folder / f"{name}.pem"):
        if os.path.lexists(path):
            raise BadConfig(f"{path} exists already, and is never overwritten")


def _put(path: Path, data: bytes, mode: int, *, replace: bool) -> None:
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        beside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if replace:
                beside.replace(path)
            else:
                path.hardlink_to(beside)  # unlike a rename it fails where `path` exists
        finally:
            beside.unlink(missing_ok=True)
    except FileExistsError as error:
        raise BadConfig(f"{path} exists already, and is never overwritten") from error
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}") from error


def load_authority(folder: Path, now: datetime) -> Pair:
    """The authority of `folder`. Raises BadConfig unless it can issue certificates at `now`."""
    authority = load_pair(folder, "ca")
    if not _is_authority(authority.certificate):
        raise BadConfig(f"{folder / 'ca.pem'} is not the certificate of an authority")
    if now > authority.certificate.not_valid_after_utc:
        ended = authority.certificate.not_valid_after_utc
        raise BadConfig(f"{folder / 'ca.pem'} expired at {ended:%Y-%m-%d %H:%M} UTC")
    return authority


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        basics = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (*UNREADABLE, x509.ExtensionNotFound):
        return False
    return basics.value.ca


def load_pair(folder: Path, name: str) -> Pair:
    """Raises BadConfig unless both files are there and belong to each other."""
    certificate = load_certificate(folder / f"{name}.pem")
    path = folder / f"{name}.key"
    try:
        key = serialization.load_pem_private_key(_contents(path), password=None)
    except TypeError as error:
        raise BadConfig(f"{path} is encrypted: decrypt it with `openssl pkey`") from error
    except ValueError as error:
        raise BadConfig(f"{path}: no PEM private key in it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadConfig(f"{path}: not a key that was made here: those are elliptic curve keys")
    if key.public_key() != certificate.public_key():
        raise BadConfig(f"{path} is not the key of {folder / name}.pem")
    return Pair(certificate, key)


def load_certificate(path: Path) -> x509.Certificate:
    """The first one in `path`."""
    return load_certificates(path)[0]


def load_certificates(path: Path) -> list[x509.Certificate]:
    """At least one. Raises BadConfig."""
    try:
        return x509.load_pem_x509_certificates(_contents(path))
    except UNREADABLE as error:
        raise BadConfig(f"{path}: no PEM certificate that can be read") from error


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}") from error
