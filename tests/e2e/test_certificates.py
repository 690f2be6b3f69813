"""Certificates x RPCs, through real handshakes with a real server: docs/certificates.md."""

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import betterproto
import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from grpclib.const import Status

from certs.authority import Pair
from certs.folder import load_pair, write_pair
from certs.issue import client_certificate
from gen import workerservice as wire
from tests.client.scripted import client_of
from tests.e2e.certificate_table import (
    DENIED,
    EXPIRING,
    OTHERS,
    READERS,
    ROWS,
    SERVED,
    UNKNOWN,
    Row,
    drawn,
)
from tests.e2e.service import Service, serving
from tests.e2e.strange import Make, Shown, Trusted, authority, full, shown, with_role
from tests.server.raw import SERVICE, Answer, head, message, raw
from worker.client import Client, ClientConfig
from worker.errors import WorkerError
from worker.rpc.role import Role
from worker.settings import Address
from worker.spec import JobSpec
from worker.state import JobState

DOCUMENT = Path(__file__).parents[2] / "docs" / "certificates.md"
EVERY_ROW = pytest.mark.parametrize("row", ROWS, ids=[row.certificate for row in ROWS])
NOT_FOR_GRPCIO = ("X.509 version 1, extensions all the same", "not in DER, role full")
JOB = uuid4()
ASKED: dict[str, betterproto.Message] = {
    "Start": wire.StartRequest(command_name="true"),
    "Stop": wire.StopRequest(job_id=JOB.bytes),
    "QueryStatus": wire.QueryStatusRequest(job_id=JOB.bytes),
    "GetOutput": wire.GetOutputRequest(job_id=JOB.bytes),
    "Wait": wire.WaitRequest(job_id=JOB.bytes),
    "Watch": wire.WatchRequest(job_id=JOB.bytes),
}  # of the others an empty message, which names no job


@pytest.fixture(scope="module")
def trusted(certificates: Path) -> Trusted:
    return Trusted(load_pair(certificates, "ca"), authority("above", path_length=1))


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, certificates: Path, trusted: Trusted
) -> Iterator[Service]:
    """With the job that is asked for."""
    folder = tmp_path_factory.mktemp("certified")
    copy = shutil.copytree(certificates, folder / "certificates")
    with (copy / "ca.pem").open("ab") as bundle:
        bundle.write(trusted.above.certificate.public_bytes(Encoding.PEM))
    with serving(folder, copy) as service:
        asyncio.run(start(service))
        yield service


async def start(service: Service) -> None:
    own = client_of(service.certificates, Address.parsed(service.address))
    async with Client(own) as client:
        await client.submit(JobSpec("true"), JOB)


def config_of(service: Service, folder: Path, made: Shown | None = None) -> ClientConfig:
    """Of a client that shows what was made, or has no files."""
    certificate, key = folder / "x.pem", folder / "x.key"
    if made:
        certificate.write_bytes(made.chain)
        key.touch(0o600)
        key.write_bytes(made.key)
    return ClientConfig(
        Address.parsed(service.address), service.certificates / "ca.pem", certificate, key
    )


def tls(config: ClientConfig) -> ssl.SSLContext:
    """Of a client that shows whatever it has, however weak."""
    context = ssl.create_default_context(cafile=config.server_ca)
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if config.client_key.exists():
        context.load_cert_chain(config.client_certificate, config.client_key)
    return context


def body(rpc: str) -> bytes:
    return message(bytes(ASKED[rpc]) if rpc in ASKED else b"")


def alert_in(failure: BaseException | None) -> str | None:
    """The TLS alert that the other side sent."""
    if not isinstance(failure, ssl.SSLError):
        return None
    said = re.fullmatch(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)", failure.reason)
    return said[1].lower().replace("_", " ") if said else failure.reason


def status_of(rpc: str, answer: Answer) -> str:
    """Its name, or SERVED where who may ask was no question any more."""
    code = Status(answer.status[0])
    is_served = code is Status.OK if rpc in ASKED else code.name not in (UNKNOWN, DENIED)
    return SERVED if is_served else code.name


async def outcome_of(call: Awaitable[object]) -> str:
    """SERVED, or what went wrong, as the kind of client names it."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    except WorkerError as error:
        return type(error).__name__
    return SERVED


@EVERY_ROW
async def test_each_rpc_is_answered_as_the_table_says(
    service: Service, trusted: Trusted, row: Row, tmp_path: Path
) -> None:
    context = tls(config_of(service, tmp_path, row.make(trusted) if row.make else None))
    for rpcs, expected in ((READERS, row.reading), (OTHERS, row.changing)):
        for rpc in rpcs:
            async with raw(service.port, context) as client:
                answer = await client.ended(client.send(head(SERVICE + rpc), body(rpc)))
                assert alert_in(client.reader.exception()) == row.alert
            if row.alert:
                assert answer.headers == {}
            else:
                assert status_of(rpc, answer) == expected


@EVERY_ROW
async def test_a_foreign_client_sees_what_the_table_says(
    service: Service, trusted: Trusted, row: Row
) -> None:
    made = row.make(trusted) if row.make else None
    files = (made.key, made.chain) if made else ()
    ca = (service.certificates / "ca.pem").read_bytes()
    expected = {"QueryStatus": row.reading, "Start": row.changing}
    if row.certificate in NOT_FOR_GRPCIO:  # its own library doesn't take them
        expected = dict.fromkeys(expected, "UNAVAILABLE")
    async with grpc.aio.secure_channel(
        service.address, grpc.ssl_channel_credentials(ca, *files)
    ) as channel:
        for rpc, status in expected.items():
            call = channel.unary_unary(SERVICE + rpc)(bytes(ASKED[rpc]))
            assert await outcome_of(call) == status


@EVERY_ROW
async def test_our_client_ends_as_the_table_says(
    service: Service, trusted: Trusted, row: Row, tmp_path: Path
) -> None:
    config = config_of(service, tmp_path, row.make(trusted) if row.make else None)

    async def started() -> None:
        async with Client(config) as client:
            await client.start("true")

    assert await outcome_of(started()) == row.ours


async def test_what_expires_while_connected_ends_streams_and_is_told_so(
    service: Service, trusted: Trusted, tmp_path: Path
) -> None:
    config = config_of(service, tmp_path, shown(short_lived(trusted)))
    async with Client(config) as ours, raw(service.port, tls(config)) as client:
        job = await ours.start("sleep", "600", grace_period=0)
        follow = message(bytes(wire.GetOutputRequest(job_id=job.id.bytes)))
        wait = message(bytes(wire.WaitRequest(job_id=job.id.bytes)))
        streams = [
            client.send(head(SERVICE + "GetOutput"), follow),
            client.send(head(SERVICE + "Wait", grpc_timeout="1H"), wait),
        ]
        for stream in streams:
            check_expired(await client.ended(stream))
        for rpc in (*READERS, *OTHERS):
            check_expired(await client.ended(client.send(head(SERVICE + rpc), body(rpc))))
        assert await outcome_of(ours.start("true")) == EXPIRING.ours


def short_lived(trusted: Trusted) -> Pair:
    """It is valid for some seconds more."""
    issued_at = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=5)
    return client_certificate(trusted.direct, "ada", Role.FULL, now=issued_at, days=1)


async def test_what_expires_while_connected_is_gone_on_with_by_its_renewed_file(
    service: Service, trusted: Trusted, tmp_path: Path
) -> None:
    config = config_of(service, tmp_path, shown(short_lived(trusted)))
    more, after = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"before, "
        await after.wait()
        yield b"after"

    async def text() -> bytes:
        data = b""
        async for chunk in job.output():
            data += chunk.data
            more.set()
        return data

    async def states() -> list[JobState]:
        return [status.state async for status in ours.watch(job.id)]

    async with Client(config) as ours, raw(service.port, tls(config)) as client:
        job = await ours.start("cat", input=True)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(job.send_input(pieces()))
            reading, watching = tasks.create_task(text()), tasks.create_task(states())
            waiting = tasks.create_task(job.wait())
            await more.wait()
            write_pair(tmp_path, "x", full(trusted.direct), replace=True)
            wait = message(bytes(wire.WaitRequest(job_id=job.id.bytes)))
            check_expired(await client.ended(client.send(head(SERVICE + "Wait"), wait)))
            after.set()
        assert reading.result() == b"before, after"
        assert sending.result() == len(reading.result())
        assert watching.result()[-1] is waiting.result().state is JobState.EXITED


def check_expired(answer: Answer) -> None:
    code, text = answer.status
    assert Status(code) is Status.UNAUTHENTICATED
    assert "the certificate of ada expired at" in text
    assert text.endswith("UTC: renew it and connect again")


@pytest.mark.parametrize(
    ("made", "line"),
    [
        pytest.param(
            with_role(b"\x0c\x05full "),
            r"WARNING .*: the certificate of ada \(sha256 [0-9a-f]{16}\.\.\.\) has no role: its "
            r"extension 1\.2\.840\.10070\.8\.1 holds b'\\x0c\\x05full ', which is none of ",
            id="a role that is none",
        ),
        pytest.param(
            lambda trusted: shown(full(trusted.direct, since=-timedelta(days=9), days=1)),
            "WARNING .*: refused a handshake: the client's certificate: certificate has expired",
            id="expired",
        ),
    ],
)
async def test_the_log_says_which_rule_failed(
    service: Service, trusted: Trusted, made: Make, line: str, tmp_path: Path
) -> None:
    async with raw(service.port, tls(config_of(service, tmp_path, made(trusted)))) as client:
        await client.ended(client.send(head(SERVICE + "Wait"), body("Wait")))
    assert re.search(line, service.log.read_text())


def test_the_document_shows_the_table() -> None:
    assert drawn([*ROWS, EXPIRING]) in DOCUMENT.read_text()
