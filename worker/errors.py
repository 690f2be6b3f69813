"""Everything that can go wrong, as one tree; `worker.rpc.statuses` gives each answer its code.

WorkerError
├── SetupError               nothing could be asked yet, and asking again won't help
│   ├── BadConfig            a configuration, certificate or key: mend the file that it names
│   │   └── BadCredentials   ... one of those that TLS stands on
│   │       ├── MissingFile         correct the path
│   │       ├── UnreadableFile      correct the path or the rights
│   │       ├── ExposedKey          others can get at the key: chmod 600
│   │       ├── EncryptedKey        decrypt it
│   │       ├── WrongKey            it belongs to another certificate
│   │       ├── CertificateExpired  have a new one issued
│   │       ├── NotYetValid         look at the clock
│   │       └── WrongUsage          a certificate that isn't for clients
│   ├── BadState             a state directory that can't be used (rights, a newer version)
│   ├── StateInUse           another server or Registry owns the state directory
│   ├── UnknownHost          correct serverAddress
│   ├── OtherProtocol        what answers there is no workerserver: correct serverAddress
│   └── UntrustedServer      what answers there isn't the server to trust, by its certificate
│       ├── OtherName            it is for another name: correct serverAddress
│       ├── OtherAuthority       none of serverCA has certified it: correct one of the two
│       ├── ServerExpired        have the server's certificate renewed
│       └── ServerNotYetValid    look at both clocks
└── JobError                 the answer to a request
    ├── InvalidRequest       mend the request
    │   └── CannotExecute    ... its command: no file, no right, no interpreter, no directory
    ├── JobNotFound          no such job (any more)
    ├── JobExists            that id belongs to another request: choose a new one
    ├── NotNow               the job's state doesn't allow it
    ├── OutOfRange           an offset beyond the output of a final job
    ├── NoRoom               disk, descriptors, processes, memory: try again later
    ├── NotBuilt             this server doesn't know that RPC or field
    ├── Unauthenticated      present a certificate
    │   └── CertificateRefused   ... that the server accepts: this one it doesn't
    ├── PermissionDenied     present a certificate with another role
    ├── TimedOut             the caller's own deadline ran out
    ├── Unavailable          not reachable, or leaving: try again
    │   ├── NotListening     nobody listens there: start the server
    │   ├── NoAnswer         silence: look at the address and the network
    │   ├── ConnectionLost   it broke during the request, which may have been done
    │   ├── NotTaken         the server was leaving, and has not begun with the request
    │   ├── KeeperLost       the keeper ended: open a new Registry
    │   └── Incomplete       the output broke off before its end: ask again from the next offset
    └── InternalError        a fault of ours: it is in the server's log
        └── DataLost         output that was kept is gone from the server's disk: see why, there
"""

from __future__ import annotations


class WorkerError(Exception):
    """Root of the tree. The message is one sentence that says what was wrong and what to do."""


class SetupError(WorkerError):
    """Nothing could be asked yet."""


class BadConfig(SetupError):
    """A configuration, certificate or key that can't be used; the message names the file."""


class BadCredentials(BadConfig):
    """A file that TLS stands on: of an authority, a certificate or a key."""


class MissingFile(BadCredentials):
    """It isn't there."""


class UnreadableFile(BadCredentials):
    """It is there and can't be read: rights, or it is no file."""


class ExposedKey(BadCredentials):
    """A private key that others can read."""


class EncryptedKey(BadCredentials):
    """A private key with a passphrase, which nobody could type."""


class WrongKey(BadCredentials):
    """A private key that isn't the certificate's."""


class CertificateExpired(BadCredentials):
    """One of our own; the message names its subject and its last day."""


class NotYetValid(BadCredentials):
    """One of our own, or the clock is wrong; the message names both."""


class WrongUsage(BadCredentials):
    """A certificate that isn't for what it is used for."""


class BadState(SetupError):
    """A state directory that can't be used: rights, or written by a newer version."""


class StateInUse(SetupError):
    """Another server or Registry owns the state directory; the message names its pid."""


class UnknownHost(SetupError):
    """The name in `serverAddress` isn't known."""


class OtherProtocol(SetupError):
    """The other side speaks no TLS, another version or suite of it, or no HTTP/2."""


class UntrustedServer(SetupError):
    """The certificate that the other side has shown won't do."""


class OtherName(UntrustedServer):
    """It is for other names than the one dialled."""


class OtherAuthority(UntrustedServer):
    """None of the authorities that are trusted has certified it."""


class ServerExpired(UntrustedServer):
    """It has expired."""


class ServerNotYetValid(UntrustedServer):
    """It isn't valid yet."""


class JobError(WorkerError):
    """The answer to a request that was not done."""


class InvalidRequest(JobError):
    """A request that can't be done as it is; the message names the field."""


class CannotExecute(InvalidRequest):
    """A command that can't be executed; the message names the path and the reason.

    A Client raises InvalidRequest with that message: on the wire the two are one status.
    """


class JobNotFound(JobError):
    """No job has that id; it may have been removed."""


class JobExists(JobError):
    """Another request was started under that id."""


class NotNow(JobError):
    """The state of the job doesn't allow it."""


class OutOfRange(JobError):
    """An offset beyond the output of a job that is final."""


class NoRoom(JobError):
    """Not enough disk, descriptors, processes or memory at the moment."""


class NotBuilt(JobError):
    """An RPC or a field of a request that this server doesn't know."""


class Unauthenticated(JobError):
    """The client presented no certificate."""


class CertificateRefused(Unauthenticated):
    """The server has refused the client's certificate in the handshake."""


class PermissionDenied(JobError):
    """The client's role doesn't allow it; the message names the role that does."""


class TimedOut(JobError):
    """The deadline that the caller set ran out."""


class Unavailable(JobError):
    """The server can't be reached, or is leaving."""


class NotListening(Unavailable):
    """Nobody listens at the server's address."""


class NoAnswer(Unavailable):
    """Nothing was heard within the time that an answer takes."""


class ConnectionLost(Unavailable):
    """It broke during the request: whether that was done isn't known."""


class NotTaken(Unavailable):
    """The server was leaving, and said that it hasn't begun with the request: it was not done."""


class KeeperLost(Unavailable):
    """The keeper ended; its jobs are LOST once the state directory is opened again."""


class Incomplete(Unavailable):
    """The output broke off before its end message."""


class InternalError(JobError):
    """A fault of the server's own."""


class DataLost(InternalError):
    """Output that was kept is gone from the server's disk: asking again won't bring it back."""
