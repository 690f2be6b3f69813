"""Why a server couldn't be reached, in one sentence that says what to do."""

from __future__ import annotations

import errno
import socket
import ssl

from worker.errors import BadConfig, Unavailable, WorkerError
from worker.settings import Address


def diagnosed(address: Address, error: OSError | UnicodeError) -> WorkerError:
    """The error of ours for one that broke the connection to `address` before any request."""
    match error:
        case ssl.SSLCertVerificationError():
            return BadConfig(
                f"the server at {address} isn't the one to trust: {error.verify_message};"
                " check serverAddress and serverCA"
            )
        case ssl.SSLError():
            what = (
                f"refused the TLS handshake ({error.reason}):"
                " is it a workerserver, and does it accept this certificate?"
            )
        case TimeoutError():
            what = "doesn't answer: check serverAddress and the network"
        case socket.gaierror():
            what = f"isn't known ({error.strerror}): check serverAddress"
        case UnicodeError():
            what = "can't be the name of a host: check serverAddress"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            what = (
                "closed the connection before it said anything:"
                " it may not accept this certificate (another authority, or expired)"
            )
        # A host with several addresses has several errors in one text, and no number.
        case _ if f"[Errno {errno.ECONNREFUSED}]" in str(error):
            what = "refused the connection: is workerserver running there?"
        case _:
            what = f"can't be reached: {error.strerror or error}"
    return Unavailable(f"{address} {what}")
