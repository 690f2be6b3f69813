"""Where a server listens, what a client dials, and what the server's certificate is for."""

from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from certs.folder import load_pair, write_pair
from certs.issue import server_certificate
from gen import workerservice as wire
from tests.client.scripted import client_of
from tests.e2e.service import serving
from tests.server.raw import SERVICE
from tests.server.test_listen import has_ipv6
from worker.client import Client
from worker.settings import Address


@pytest.mark.parametrize(
    ("address", "dialled"),
    [
        ("[::1]:0", ("[::1]", "[0:0:0:0:0:0:0:1]")),
        ("[::]:0", ("[::1]", "127.0.0.1", "localhost")),
        ("127.0.0.1:0", ("127.0.0.1", "localhost")),
    ],
)
async def test_an_address_may_be_spelled_in_any_way(
    certificates: Path, tmp_path: Path, address: str, dialled: tuple[str, ...]
) -> None:
    if "::" in address and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(tmp_path, certificates, address) as service:
        for host in dialled:
            where = Address.parsed(f"{host}:{service.port}")
            async with Client(client_of(certificates, where)) as client:
                await client.start("true")


async def test_a_foreign_client_refuses_a_server_of_another_name(
    certificates: Path, tmp_path: Path
) -> None:
    authority = load_pair(certificates, "ca")
    write_pair(tmp_path, "ca", authority)
    pair = server_certificate(authority, ["a.example"], [], now=datetime.now(UTC))
    write_pair(tmp_path, "server", pair)
    trusted = grpc.ssl_channel_credentials((tmp_path / "ca.pem").read_bytes())
    with serving(tmp_path, tmp_path, "127.0.0.1:0") as service:
        async with grpc.aio.secure_channel(service.address, trusted) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await channel.unary_unary(SERVICE + "Wait")(bytes(wire.WaitRequest()))
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
