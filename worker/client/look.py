"""A second look at a server whose certificate was refused, and at what it says.

For the sentence alone. Nothing is sent, not even our own certificate.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final

from cryptography import x509

from worker.rpc.role import UNREADABLE
from worker.rpc.tls import ALPN
from worker.settings import Address

PATIENCE: Final = 3.0  # seconds
SHOWN: Final = 5  # names of a certificate that may have hundreds


async def shown_by(address: Address) -> x509.Certificate | None:
    """The certificate that the server shows to anybody; None where it can't be had."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    with suppress(OSError, *UNREADABLE):
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        try:
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(der)
        finally:
            writer.transport.abort()
    return None


def names_in(certificate: x509.Certificate) -> str:
    """The names and addresses that it is for. A common name alone is none: nobody looks at it."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            *found.get_values_for_type(x509.DNSName),
            *map(str, found.get_values_for_type(x509.IPAddress)),
        ]
    except (x509.ExtensionNotFound, *UNREADABLE):
        names = []
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more]) or "no name at all"
