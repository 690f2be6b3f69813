"""Which certificate of a client comes how far: the table of docs/certificates.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from certs import testset
from certs.authority import new_authority
from certs.issue import server_certificate
from tests.e2e import der
from tests.e2e.strange import (
    FOR_CLIENTS,
    FULL,
    READONLY,
    Make,
    authority,
    full,
    role_in_the_intermediate_alone,
    rsa_key,
    shown,
    through_an_intermediate,
    with_common_name,
    with_critical_role,
    with_extensions,
    with_field,
    with_fields,
    with_key,
    with_more,
    with_role,
)
from worker.rpc.role import ROLE_OID

NOW = datetime.now(UTC)
READERS = ("QueryStatus", "GetOutput", "Wait", "List", "Watch")
OTHERS = ("Start", "Stop", "Signal", "Remove", "SendInput")
SERVED, REFUSED = "served", "UNAVAILABLE"
UNKNOWN, DENIED = "UNAUTHENTICATED", "PERMISSION_DENIED"


@dataclass(frozen=True)
class Row:
    certificate: str
    make: Make | None  # None: no certificate
    alert: str | None  # of TLS, with which the handshake is refused
    reading: str  # what each of READERS answers
    changing: str  # what each of OTHERS answers
    ours: str  # how our own Client ends


def refused(certificate: str, make: Make, alert: str, ours: str = "CertificateRefused") -> Row:
    return Row(certificate, make, alert, REFUSED, REFUSED, ours)


def denied(certificate: str, make: Make) -> Row:
    return Row(certificate, make, None, DENIED, DENIED, "PermissionDenied")


def may_all(certificate: str, make: Make) -> Row:
    return Row(certificate, make, None, SERVED, SERVED, SERVED)


ROWS: Sequence[Row] = [
    Row("none", None, None, UNKNOWN, UNKNOWN, "MissingFile"),
    refused(
        "of another authority",
        lambda _: shown(full(new_authority(NOW, name="another"))),
        "unknown ca",
    ),
    refused(
        "of an authority with the same name and another key",
        lambda _: shown(full(new_authority(NOW, name=testset.AUTHORITY))),
        "unknown ca",
    ),
    refused(
        "expired",
        lambda trusted: shown(full(trusted.direct, since=-timedelta(days=9), days=1)),
        "certificate expired",
        "CertificateExpired",
    ),
    refused(
        "not valid yet",
        lambda trusted: shown(full(trusted.direct, since=timedelta(days=1))),
        "bad certificate",
        "NotYetValid",
    ),
    refused(
        "for servers alone",
        lambda trusted: shown(server_certificate(trusted.direct, ["localhost"], [], now=NOW)),
        "unsupported certificate",
        "WrongUsage",
    ),
    may_all(
        "without a usage, role full",
        with_extensions(x509.UnrecognizedExtension(ROLE_OID, FULL)),
    ),
    refused(
        "the authority's own",
        lambda trusted: shown(trusted.direct),
        "unsupported certificate",
        "WrongUsage",
    ),
    denied(
        "an authority's for every use, role full",
        lambda trusted: shown(authority("below", trusted.direct, role=FULL)),
    ),
    denied("X.509 version 1", with_fields(lambda fields: fields[1 : der.EXTENSIONS_AT])),
    denied("X.509 version 1, extensions all the same", with_fields(lambda fields: fields[1:])),
    denied("X.509 version 3, no extensions", with_fields(lambda f: f[: der.EXTENSIONS_AT])),
    may_all("of an intermediate authority, sent along; role full", through_an_intermediate()),
    refused(
        "of an intermediate authority, not sent along",
        through_an_intermediate(sent=False),
        "unknown ca",
    ),
    denied("the role in the intermediate's alone", role_in_the_intermediate_alone),
    may_all("RSA, 2048 bits, role full", with_key(rsa_key(2048))),
    refused("RSA, 1024 bits", with_key(rsa_key(1024)), "bad certificate", "BadCredentials"),
    may_all("Ed25519, role full", with_key(ed25519.Ed25519PrivateKey.generate)),
    refused(
        "signed with SHA-1",
        with_field(der.ALGORITHM_AT, der.ECDSA_WITH_SHA1),
        "bad certificate",
        "BadCredentials",
    ),
    denied("no role", with_extensions(FOR_CLIENTS)),
    denied("role `Full`", with_role(b"\x0c\x04Full")),
    denied("role `full` and a space", with_role(b"\x0c\x05full ")),
    denied("role `full` and a line feed", with_role(b"\x0c\x05full\n")),
    denied("role `full` and a NUL", with_role(b"\x0c\x05full\0")),
    denied("role `full`, a byte behind it", with_role(FULL + b"\0")),
    denied("role `full`, its length in the long form", with_role(b"\x0c\x81\x04full")),
    denied("role `full` as PrintableString", with_role(b"\x13\x04full")),
    denied("role `full` as IA5String", with_role(b"\x16\x04full")),
    denied("role `full` without DER", with_role(b"full")),
    denied("a list of roles", with_role(b"\x30\x10" + READONLY + FULL)),
    denied("the role twice", with_more(der.extension(der.ROLE, FULL))),
    refused("the role marked critical", with_critical_role, "certificate unknown"),
    denied(
        "an extension that can't be read, role full",
        with_more(der.extension(der.ALTERNATIVE_NAME, bytes.fromhex("3003a30100"))),
    ),
    denied(
        "a name that is no text, role full",
        with_more(der.extension(der.ALTERNATIVE_NAME, der.element(der.SEQUENCE, b"\x82\x02a\xff"))),
    ),
    Row(
        "not in DER, role full",
        with_field(der.SERIAL_AT, b"\x02\x81\x01\x05"),
        None,
        DENIED,
        DENIED,
        "BadCredentials",
    ),
    may_all("its common name is no text, role full", with_common_name(b"\x03\x02\x00x")),
    may_all("its common name has a line feed, role full", with_common_name(b"\x0c\x03a\nb")),
    Row("role readonly", with_role(READONLY), None, SERVED, DENIED, "PermissionDenied"),
    may_all("role full", with_role(FULL)),
]
EXPIRING = Row("expires during the connection", None, None, UNKNOWN, UNKNOWN, "Unauthenticated")


def drawn(rows: Sequence[Row]) -> str:
    columns = (
        *("the client's certificate", "TLS", ", ".join(READERS), ", ".join(OTHERS)),
        "`Client.start`",
    )
    lines = [
        (
            *(row.certificate, f"alert: {row.alert}" if row.alert else "accepted"),
            *(row.reading, row.changing, row.ours),
        )
        for row in rows
    ]
    table = (columns, ["---"] * len(columns), *lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in table)
