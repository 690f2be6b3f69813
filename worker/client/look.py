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
