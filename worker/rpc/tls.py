"""TLS of both ends: version 1.3 with one suite, or no connection."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

SUITE: Final = "TLS_AES_256_GCM_SHA384"


def server_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    raise NotImplementedError


def client_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    raise NotImplementedError


def check_connection(connection: ssl.SSLObject | ssl.SSLSocket) -> None:
    raise NotImplementedError
