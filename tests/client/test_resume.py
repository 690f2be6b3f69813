"""What a client asked for arrives, once, over connections that break anywhere."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.client.relay import Relay, random_cuts, relayed
from tests.client.scripted import client_of
from tests.e2e.service import Service, serving
from worker.client import Client, channel, resume
from worker.errors import Incomplete, JobExists
from worker.job import Job
from worker.settings import Address
from worker.spec import JobSpec
from worker.state import JobState

pytestmark = pytest.mark.every_python

PRINTS = """
import os, random
dice = random.Random(5)
for number in range(1200):
    os.write(1 + number % 2, dice.randbytes(dice.randrange(9000)))
"""
HANDSHAKE = 6000  # bytes from the server, well within


def client_at(service: Service, address: Address, **options: Any) -> Client:
    return Client(client_of(service.certificates, address), **options)


def address_of(service: Service) -> Address:
    return Address.parsed(service.address)


@pytest.fixture
async def relay(service: Service) -> AsyncIterator[Relay]:
    async with relayed(address_of(service)) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keepalive in no time."""
    quick = replace(
        channel.CONFIGURATION,
        _keepalive_time=0.2,
        _keepalive_timeout=0.2,
        _http2_min_sent_ping_interval_without_data=0.1,
    )
    monkeypatch.setattr(channel, "CONFIGURATION", quick)
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT", 0.1)


async def digest(job: Job, **options: Any) -> tuple[int, str]:
    """Of what arrives; each byte must be at its place."""
    seen, size = hashlib.sha256(), 0
    async with aclosing(job.output(**options)) as chunks:
        async for chunk in chunks:
            assert chunk.offset == size
            seen.update(chunk.data)
            size += len(chunk.data)
    return size, seen.hexdigest()


@pytest.mark.parametrize("options", [{}, {"tagged": True}], ids=["plain", "tagged"])
@pytest.mark.parametrize("seed", range(2))
async def test_output_is_exact_however_often_it_is_cut(
    service: Service, seed: int, options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also within the handshake, a frame, a message."""
    monkeypatch.setattr(resume, "LONGEST_PAUSE", 0.1)
    address = address_of(service)
    cuts = [HANDSHAKE, *random_cuts(seed, 5, most=HANDSHAKE), *random_cuts(seed, 10, 10**6)]
    async with client_at(service, address) as direct, relayed(address, cuts) as relay:
        job = await direct.start("python3", "-c", PRINTS)
        async with client_at(service, relay.address) as over_relay:
            assert await digest(Job(job.id, over_relay), **options) == await digest(job)
    assert relay.connections >= len(cuts)


async def test_output_and_wait_go_on_after_cuts_while_nothing_is_sent(
    service: Service, relay: Relay, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "go")
    async with client_at(service, relay.address) as jobs:
        job = await jobs.start("sh", "-c", f"echo one; read x < {tmp_path}/go; echo two; exit 7")
        chunks = job.output()
        assert (await anext(chunks)).data == b"one\n"
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(anext(chunks))
            waiting = tasks.create_task(job.wait())
            for _ in range(5):
                relay.cut()
                assert (await job.status()).state is JobState.RUNNING
            await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        assert reading.result().data == b"two\n"
        assert [chunk async for chunk in chunks] == []
        assert waiting.result().exit_code == 7


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_fell_silent_is_noticed_and_made_again(
    service: Service, relay: Relay, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "go")
    async with client_at(service, relay.address) as jobs:
        job = await jobs.start("sh", "-c", f"echo one; read x < {tmp_path}/go; echo two")
        chunks = job.output()
        assert (await anext(chunks)).data == b"one\n"
        relay.mute()
        await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        assert [chunk.data async for chunk in chunks] == [b"two\n"]
        relay.mute()
        assert (await job.wait()).exit_code == 0
    assert relay.connections == 3


def test_silence_is_noticed_in_the_documented_time() -> None:
    assert channel.KEEPALIVE_TIME + channel.KEEPALIVE_TIMEOUT + channel.CLOSE_TIMEOUT == 31


@pytest.mark.parametrize("seed", range(8))
async def test_a_start_that_broke_off_starts_once(
    service: Service, tmp_path: Path, seed: int
) -> None:
    cuts = [HANDSHAKE, *random_cuts(seed, 5, most=HANDSHAKE)]
    once = tmp_path / "once"
    async with (
        relayed(address_of(service), cuts) as relay,
        client_at(service, relay.address) as jobs,
    ):
        for _ in range(5):
            once.unlink(missing_ok=True)
            relay.cut()
            job = await jobs.start("sh", "-c", f"echo x >> {once}")
            assert (await job.wait()).exit_code == 0
            assert once.read_text() == "x\n"


async def test_another_request_under_the_same_id_is_refused(service: Service, relay: Relay) -> None:
    async with client_at(service, relay.address) as jobs:
        job = await jobs.start("true")
        relay.cut()
        with pytest.raises(JobExists):
            await jobs.submit(JobSpec("false"), job.id)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP], ids=["kill -9", "SIGHUP"])
async def test_a_server_that_is_replaced_under_a_stream_costs_no_byte(
    tmp_path: Path, certificates: Path, how: signal.Signals
) -> None:
    os.mkfifo(tmp_path / "go")
    with serving(tmp_path, certificates) as service:

        def replace_server() -> None:
            if how is signal.SIGKILL:
                service.kill_server()
            else:
                service.keeper.send_signal(how)
                assert service.line().startswith("listening on ")

        async with client_at(service, address_of(service)) as jobs:
            job = await jobs.start("sh", "-c", f"seq 1 300000; read x < {tmp_path}/go; echo end")
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(digest(job))
                for _ in range(3):
                    await asyncio.to_thread(replace_server)
                await asyncio.to_thread((tmp_path / "go").write_text, "\n")
            expected = "".join(f"{n}\n" for n in range(1, 300_001)) + "end\n"
            assert reading.result() == (
                len(expected),
                hashlib.sha256(expected.encode()).hexdigest(),
            )


async def test_output_gives_up_in_a_known_time_and_says_where(
    service: Service, relay: Relay
) -> None:
    async with client_at(service, relay.address, patience=0.5) as jobs:
        job = await jobs.start("sh", "-c", "echo one; exec sleep 98741")
        chunks = job.output()
        await anext(chunks)
        relay.cut(always_after=100)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Incomplete, match=r"offset 4: .* \(tried again for 0\.5 s\)"):
            await anext(chunks)
        assert asyncio.get_running_loop().time() - began < 30
        assert relay.connections < 12  # with growing pauses
        relay.heal()
        await job.stop(grace_period=0)


async def test_all_requests_of_a_client_go_on(
    service: Service, relay: Relay, tmp_path: Path
) -> None:
    """They share one connection, and dial once."""
    os.mkfifo(tmp_path / "go")
    async with client_at(service, relay.address) as jobs:
        job = await jobs.start("sh", "-c", f"echo one; read x < {tmp_path}/go; seq 1 5000")
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(digest(job)) for _ in range(50)]
            waiting = [tasks.create_task(job.wait()) for _ in range(40)]
            assert (await job.status()).state is JobState.RUNNING
            relay.cut()
            assert (await job.status()).state is JobState.RUNNING
            assert relay.connections == 2
            await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        assert len({task.result() for task in reading}) == 1
        assert {task.result().exit_code for task in waiting} == {0}
    assert relay.connections == 2


async def test_more_requests_than_a_connection_takes_have_another(
    service: Service, relay: Relay, tmp_path: Path
) -> None:
    """grpclib would wait until one of the first has ended: nothing could be stopped any more."""
    os.mkfifo(tmp_path / "go")
    async with client_at(service, relay.address) as jobs:
        job = await jobs.start("sh", "-c", f"echo one; read x < {tmp_path}/go")
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(digest(job)) for _ in range(250)]
            await asyncio.sleep(0)
            assert (await job.status()).state is JobState.RUNNING
            await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        assert len({task.result() for task in reading}) == 1
    assert relay.connections == 3  # of 100 requests each
