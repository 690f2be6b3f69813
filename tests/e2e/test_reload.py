"""SIGHUP replaces server, configuration, certificates and the keeper's own code; no job notices."""

import asyncio
import os
import re
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from tests.e2e.service import Service, reloaded, serving, wait_log, wait_until
from tests.keeper.test_ways import without_cgroups
from tests.server.raw import client_tls, raw
from worker import Client, Job
from worker.client import ClientConfig
from worker.limits import Limits
from worker.settings import Address
from worker.state import Cause

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def service(tmp_path: Path, certificates: Path) -> Iterator[Service]:
    """With certificates of its own, which a test may replace."""
    own = tmp_path / "certificates"
    shutil.copytree(certificates, own)
    with serving(tmp_path, own) as started:
        yield started


def client_of(service: Service) -> Client:
    folder = service.certificates
    address = Address.parsed(service.address)
    return Client(
        ClientConfig(address, folder / "ca.pem", folder / "full.pem", folder / "full.key")
    )


async def read(job: Job) -> bytes:
    """To the end of the output, over as many servers as it takes."""
    return b"".join([chunk.data async for chunk in job.output()])


async def test_jobs_and_streams_go_on(service: Service, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script = f"trap 'echo hup' HUP; for i in $(seq 5000); do echo $i; done; read x < {tmp_path}/go"
    async with client_of(service) as client:
        job = await client.start("bash", "-c", script)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(job))
            for _ in range(3):
                await asyncio.to_thread(reloaded, service)
            await asyncio.to_thread((tmp_path / "go").write_text, "\n")
    assert reading.result().split() == [b"%d" % number for number in range(1, 5001)]


async def test_new_certificates_are_used_without_a_refused_connection(service: Service) -> None:
    server = service.certificates / "server.pem"
    before = server.read_bytes()
    issued = service.certificates / "other"
    issued.mkdir(mode=0o700)
    for name in ("server.pem", "server.key"):
        (service.certificates / name).rename(issued / name)
    service.keeper.send_signal(signal.SIGHUP)
    wait_log(service, "nothing was replaced")
    for name in ("server.pem", "server.key"):
        (issued / name).rename(service.certificates / name)
    reloaded(service)
    assert server.read_bytes() == before
    async with client_of(service) as client:
        assert (await (await client.start("true")).wait()).exit_code == 0


def lines_since(service: Service, size: int) -> list[str]:
    return service.log.read_text()[size:].splitlines()


async def test_a_server_that_can_not_start_says_so_in_a_line_each_time_and_jobs_go_on(
    service: Service,
) -> None:
    key = service.certificates / "server.key"
    async with client_of(service) as client:
        timed = await client.start("sleep", "600", limits=Limits(time=1))
        short = await client.start("sh", "-c", "read x; exit 3", input=True)
        key.rename(key.with_suffix(".away"))
        size, began = service.log.stat().st_size, time.monotonic()
        os.kill(service.server_pid, signal.SIGKILL)
        ended = service.folder / "state" / "jobs" / str(timed.id) / "ended"

        def has_tried() -> bool:
            return ended.exists() and len(lines_since(service, size)) > 4

        await asyncio.to_thread(wait_until, has_tried, service.log)
        assert time.monotonic() - began > 0.1 + 0.2 + 0.4
        lines = lines_since(service, size)
        assert " keeper: the server ended with status 137: next start in " in lines[0]
        for why, then in zip(lines[1::2], lines[2::2], strict=False):  # it may be trying again
            assert re.match(rf"{TIME},\d+ ERROR \S+: {key}: No such file or directory", why)
            assert re.match(rf"{TIME} keeper: the server ended with status 2: next start in ", then)
        key.with_suffix(".away").rename(key)
        assert (await asyncio.to_thread(service.line)).startswith("listening on ")
        await short.send_input(b"")
        assert (await timed.wait()).cause is Cause.TIME_LIMIT
        assert (await short.wait()).exit_code == 3


async def test_a_server_after_a_crash_stays_where_its_jobs_are(service: Service) -> None:
    """Whatever was edited: only a restart of the service may move it."""
    file = service.folder / "server.yaml"
    async with client_of(service) as client:
        job = await client.start("sleep", "600")
        changed = file.read_text().replace("localhost:0", "127.0.0.1:1")
        file.write_text(changed.replace(": state", ": other"))
        await asyncio.to_thread(service.kill_server)
        assert not (await job.status()).is_final
        for was in ("localhost:0", service.folder / "state"):
            wait_log(service, f" was {was}: to change it, restart the service")
    assert not (service.folder / "other").exists()


def sockets(pid: int) -> set[str]:
    """Those that two processes share bear one name."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {each for each in found if each.startswith("socket:")}


async def test_who_comes_while_the_old_server_waits_for_a_sleeper_waits_for_the_next(
    service: Service,
) -> None:
    async with client_of(service) as client:
        job = await client.start("sleep", "600")
        async with raw(service.port, client_tls(service.certificates, "full")) as sleeper:
            await sleeper.read()
            old = service.server_pid
            service.keeper.send_signal(signal.SIGHUP)

            def listens_no_more() -> bool:
                return not sockets(service.keeper.pid) & sockets(old)

            pidfd = os.pidfd_open(old)
            await asyncio.to_thread(wait_until, listens_no_more, service.log)
            assert select.select([pidfd], [], [], 0.2)[0] == []  # it waits for the sleeper
            os.close(pidfd)
            await job.signal("CONT")  # it is asked once, whatever the answer
            assert service.server_pid != old
        await job.stop(grace_period=0)


async def test_a_tree_without_a_cgroup_keeps_whom_it_has_lost_sight_of(
    tmp_path: Path, certificates: Path
) -> None:
    """Seen in its job's session, it has left that, and its environment, before the stop."""
    os.mkfifo(tmp_path / "go")
    leaves = f"read x < {tmp_path}/go; exec env -i setsid sh -c 'echo $$; exec sleep 600'"
    script = f"(({leaves}) &); echo up; exec sleep 600"
    with serving(tmp_path, certificates, before=without_cgroups()) as service:
        async with client_of(service) as client:
            job = await client.start("bash", "-c", script)
            async with aclosing(job.output()) as chunks:
                printed = (await anext(chunks)).data
                await (await client.start("true")).wait()  # by now the keeper has looked
                await asyncio.to_thread((tmp_path / "go").write_text, "\n")
                while printed.count(b"\n") < 2:
                    printed += (await anext(chunks)).data
            pidfd = os.pidfd_open(int(printed.removeprefix(b"up\n")))
            await asyncio.to_thread(reloaded, service)
            await job.stop(grace_period=0)
            await job.wait()
            gone, _, _ = select.select([pidfd], [], [], 0)
            os.close(pidfd)
            assert gone


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("localhost:0", "localhost:1", "listenAddress was", id="another address"),
        pytest.param(": state", ": other", "stateDirectory was", id="another state directory"),
        pytest.param("clientCA", "clientCa", "unknown key", id="a broken configuration"),
        pytest.param(": state", f": state\noutputCap: {10**17}", "outputCap", id="too much"),
        pytest.param(
            ": state", f": state\nlimits: {{openFiles: {2**53}}}", "openFiles", id="no kernel's"
        ),
        pytest.param("server.key", "full.key", "key", id="a key of another certificate"),
    ],
)
async def test_what_can_not_be_taken_changes_nothing(
    service: Service, old: str, new: str, said: str
) -> None:
    file = service.folder / "server.yaml"
    file.write_text(file.read_text().replace(old, new))
    before = service.server_pid
    service.keeper.send_signal(signal.SIGHUP)
    wait_log(service, "nothing was replaced")
    assert said in service.log.read_text()
    assert service.server_pid == before
    async with client_of(service) as client:
        assert (await (await client.start("true")).wait()).exit_code == 0
