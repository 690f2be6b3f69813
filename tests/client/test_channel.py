"""How a connection is made and left."""

import asyncio
import gc
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from grpclib.const import Status
from grpclib.metadata import Deadline

from certs.folder import load_pair, write_pair
from certs.issue import client_certificate
from gen import workerservice as wire
from tests.client.scripted import answering, client_of, server_side, serving
from tests.client.strangers import Closes, listening, refused
from worker.client import Client
from worker.client.channel import client_channel
from worker.errors import ConnectionLost, Unauthenticated, WorkerError
from worker.rpc.role import Role
from worker.server.identity import Identity
from worker.settings import Address

pytestmark = pytest.mark.every_python


@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1"], ids=["short", "long"])
async def test_an_ipv6_address_in_any_spelling(certificates: Path, host: str) -> None:
    async with listening(Closes, server_side(certificates), "::1") as address:
        error = await refused(client_of(certificates, Address(host, address.port)))
    # So far it came: the certificate was accepted.
    assert "closed the connection before it said anything" in str(error)


async def test_a_dial_that_is_cancelled_leaves_no_socket(certificates: Path) -> None:
    """pytest tells of each that the collector finds."""
    async with listening(Closes, server_side(certificates)) as address:
        config = client_of(certificates, Address("localhost", address.port))
        for number in range(200):
            async with client_channel(config) as channel:
                with suppress(TimeoutError, WorkerError):
                    async with asyncio.timeout(number / 20_000):
                        await channel.__connect__()
    gc.collect()


async def test_the_plain_stub_works_on_the_channel(certificates: Path) -> None:
    answer = answering(wire.StopResponse())
    async with serving(certificates, Stop=answer) as config, client_channel(config) as channel:
        stub = wire.WorkerServiceStub(channel)
        assert await stub.stop(wire.StopRequest()) == wire.StopResponse()


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(lambda: {"timeout": 0.1}, id="time-out"),
        pytest.param(lambda: {"deadline": Deadline.from_timeout(0.1)}, id="deadline"),
    ],
)
async def test_the_plain_stub_keeps_its_deadline(
    certificates: Path, limit: Callable[[], dict[str, Any]]
) -> None:
    async def silent(stream: Any) -> None:
        await stream.recv_message()
        await asyncio.get_running_loop().create_future()

    async with serving(certificates, Stop=silent) as config, client_channel(config) as channel:
        with pytest.raises(TimeoutError):
            await wire.WorkerServiceStub(channel).stop(wire.StopRequest(), **limit())
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


class TellsWhom(asyncio.Protocol):
    """Notes whose certificate a connection shows, and ends it."""

    seen: ClassVar[list[str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.seen.append(Identity.of(shown).name)
        transport.close()


async def test_renewed_files_are_used_by_the_next_connection(
    certificates: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(certificates, tmp_path / "certificates")
    renewed = client_certificate(load_pair(folder, "ca"), "eve", Role.FULL, now=datetime.now(UTC))

    async def ask() -> None:
        with pytest.raises(ConnectionLost):
            await wire.WorkerServiceStub(channel).stop(wire.StopRequest())

    async with (
        listening(TellsWhom, server_side(certificates)) as address,
        client_channel(client_of(folder, address)) as channel,
    ):
        await ask()
        (folder / "full.key").unlink()  # as while it is being replaced
        await ask()
        write_pair(folder, "full", renewed, replace=True)
        await ask()
    assert TellsWhom.seen == ["full", "full", "eve"]


async def test_a_refusal_is_asked_again_once_for_each_renewed_certificate(
    certificates: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(certificates, tmp_path / "certificates")
    seen: list[Any] = []
    closed: list[bool] = []

    async def refusing(stream: Any) -> None:
        await stream.recv_message()
        closed.extend(each.is_closing() for each in seen[-1:])
        seen.append(stream._stream._transport)
        if len(seen) in (1, 2):
            renew()
        await stream.send_trailing_metadata(status=Status.UNAUTHENTICATED, status_message="no")

    def renew() -> None:
        pair = client_certificate(load_pair(folder, "ca"), "eve", Role.FULL, now=datetime.now(UTC))
        write_pair(folder, "full", pair, replace=True)

    async with serving(folder, QueryStatus=refusing) as config, Client(config) as client:
        for times in (3, 4):
            with pytest.raises(Unauthenticated, match=r"^no$"):
                await client.status(uuid4())
            assert len(seen) == times
        assert seen[3] is seen[2]
    assert closed == [True, True, False]
