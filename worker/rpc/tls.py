"""TLS of both ends: version 1.3 with one suite and HTTP/2, or no connection.

A server that can't be limited to the suite doesn't start. A client limits itself where its
Python lets it, and looks at what was agreed before it says a word.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys
from pathlib import Path
from typing import Final

from worker.errors import BadConfig, OtherProtocol
from worker.rpc.credentials import load_authority, load_identity
from worker.rpc.handshake import ServerContext
from worker.rpc.usage import Purpose, check_usage

SUITE: Final = "TLS_AES_256_GCM_SHA384"
VERSION: Final = "TLSv1.3"
ALPN: Final = "h2"


def server_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """For clients with a certificate of `ca`, or with none: those have to be told so.

    Raises BadConfig, naming the file, for every fault of the three.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _limit(context)
    if not pin_suite(context):
        raise BadConfig(f"the ssl module of {sys.executable} can't be limited to {SUITE}")
    # A resumed session would carry the role of a certificate that has expired since.
    context.num_tickets = 0
    # CERT_REQUIRED would end the handshake: the client would read UNAVAILABLE, not why.
    context.verify_mode = ssl.CERT_OPTIONAL
    load_authority(context, ca)
    load_identity(context, certificate, key)
    check_usage(certificate, Purpose.SERVER)
    return context


def client_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """For a server that `ca` has certified for the name dialled; see `check_connection`.

    Raises BadConfig, naming the file, for every fault of the three.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED and check_hostname
    _limit(context)
    context.hostname_checks_common_name = False
    pin_suite(context)
    load_authority(context, ca)
    load_identity(context, certificate, key)
    return context


def check_connection(connection: ssl.SSLObject | ssl.SSLSocket) -> None:
    """Raise OtherProtocol unless the handshake agreed on our version and suite."""
    version, cipher = connection.version(), connection.cipher()
    suite = cipher[0] if cipher else None
    if (version, suite) != (VERSION, SUITE):
        raise OtherProtocol(
            f"the other side agreed on {version} with {suite}; only {VERSION} with {SUITE} will do"
        )


def _limit(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])


def pin_suite(context: ssl.SSLContext) -> bool:
    """Leave `context` no other suite than ours; False where this Python offers no way.

    `set_ciphers` doesn't touch the suites of TLS 1.3. From 3.15 on there is a method for them;
    before, OpenSSL itself is asked.
    """
    if hasattr(context, "set_ciphersuites"):
        context.set_ciphersuites(SUITE)
    else:
        _ask_openssl(context)
    return [each["name"] for each in context.get_ciphers() if each["protocol"] == VERSION] == [
        SUITE
    ]


def _ask_openssl(context: ssl.SSLContext) -> None:
    """Call SSL_CTX_set_ciphersuites where it can be reached.

    Source: PySSLContext in CPython's Modules/_ssl.c, whose first field is the SSL_CTX.
    """
    if sys.implementation.name != "cpython":
        return  # `id` is no address there
    try:
        # The library that _ssl itself is linked to: another copy's functions would misread it.
        set_ciphersuites = ctypes.CDLL(_ssl.__file__).SSL_CTX_set_ciphersuites
    except (AttributeError, OSError):  # _ssl is built in, or hides what it is linked to
        return
    set_ciphersuites.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    set_ciphersuites(pointer, SUITE.encode())
