"""All numbers that bound what a client may cost: connections, requests, memory, waiting."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024

HANDSHAKE_S: Final = 10.0
PREFACE_S: Final = 5.0  # from the handshake until the client speaks HTTP/2
TLS_END_S: Final = 5.0  # until a client has said goodbye too
ANSWER_S: Final = 1.0  # for what was asked before the server had to leave, streams apart
ANSWERED_S: Final = ANSWER_S + 0.5  # until it has left us, too; the keeper waits for 2 s
LEAVE_S: Final = 2.0  # for clients to go, once the keeper is gone
# In a turn of the loop: without a descriptor left, asyncio logs one traceback for each of them.
ACCEPTED_AT_ONCE: Final = 64
BACKLOG: Final = 4096  # connections that queue while the server restarts

REQUEST_SIZE: Final = 64 * KIB
REQUEST_SIZES: Final = {"Start": 256 * KIB}  # where it is another
# Characters of an error, each 12 bytes at most: some clients take no more than 8 KiB of headers.
SENTENCE: Final = 600

STREAMS: Final = 100  # requests at once on one connection: h2's default, which is what it tells
EARLY_STREAMS: Final = 1000  # until the client has acknowledged that: it may not know it yet
STREAM_WINDOW: Final = 256 * KIB  # what a client may send ahead on one stream, and
CONNECTION_WINDOW: Final = 1024 * KIB  # on all of a connection
UNREAD: Final = 64 * KIB  # what TLS reads at once; asyncio keeps such a buffer for each: 256 KiB
UNSENT: Final = 64 * KIB  # what waits for a client that doesn't read; asyncio's own is 512 KiB
# A client that is gone without a word is noticed while one of its requests is open, after both.
KEEPALIVE_S: Final = 60.0
KEEPALIVE_ANSWER_S: Final = 20.0
# Without a request it is the kernel that asks: tcp(7).
IDLE_S: Final = 300
IDLE_PROBE_S: Final = 30

# Of a connection without a certificate: HTTP/2 has to be spoken to tell it so.
STRANGERS: Final = 32  # at once; more are closed without an answer
STRANGER_READ: Final = 16 * KIB
STRANGER_S: Final = 5.0
STRANGER_DISCARD: Final = 256 * KIB
STRANGER_DISCARD_S: Final = 2.0
