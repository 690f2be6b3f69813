"""Limits and users as workerserver.yaml permits them, and as a request asks for them."""

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import PROGRAM, Service, configured, serving
from tests.keeper.test_ways import without_cgroups
from worker import Client
from worker.errors import InvalidRequest, PermissionDenied
from worker.limits import Enforcement, Limits
from worker.state import Cause, JobState

CONFIGURATION = """\
jobUser: nobody
users: [daemon]
limits: {nice: 5}
maxLimits: {time: 100, openFiles: 512}
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("limited")
    with serving(folder, certificates, also=CONFIGURATION) as service:
        yield service


async def printed(client: Client, script: str, **options: object) -> list[str]:
    job = await client.start("sh", "-c", script, **options)
    return (await text_of(job)).decode().split()


async def test_jobs_run_as_the_configured_user_with_its_surroundings(limited: Service) -> None:
    async with client_for(limited) as client:
        script = "id -un; echo $HOME $USER $LOGNAME; id -G; echo to-err > /dev/stderr"
        name, home, *rest = await printed(client, script)
        assert (name, home) == ("nobody", "/nonexistent")
        assert rest[:2] == ["nobody", "nobody"]
        assert "0" not in rest
        assert "to-err" in rest


async def test_a_request_may_ask_for_a_user_that_is_listed(limited: Service) -> None:
    async with client_for(limited) as client:
        assert await printed(client, "id -un", user="daemon") == ["daemon"]
        refused = "'root' isn't one that jobs may run as: daemon"
        with pytest.raises(PermissionDenied, match=refused):
            await client.start("true", user="root")


def test_a_default_that_nothing_keeps_here_is_no_configuration(
    tmp_path: Path, certificates: Path
) -> None:
    file = configured(tmp_path, certificates, also="limits: {memory: 64000000}\n")
    command = [*without_cgroups(), PROGRAM, "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "memory can't be kept here: the cgroup v2 controller memory" in ended.stderr


async def test_defaults_hold_and_the_status_says_by_whom(limited: Service) -> None:
    async with client_for(limited) as client:
        job = await client.start("sh", "-c", "nice; ulimit -n")
        assert (await text_of(job)).split() == [b"5", b"512"]
        status = await job.wait()
        assert {(each.name, each.value, each.enforcement) for each in status.limits} == {
            ("nice", 5, Enforcement.RLIMIT),
            ("time", 100, Enforcement.KEEPER),
            ("openFiles", 512, Enforcement.RLIMIT),
            ("output", 2**30, Enforcement.KEEPER),
        }
        assert status.usage is not None
        assert status.wall_time is not None
        assert timedelta(0) < status.wall_time < timedelta(seconds=60)


async def test_more_than_the_most_is_refused(limited: Service) -> None:
    async with client_for(limited) as client:
        with pytest.raises(InvalidRequest, match=r"limits.time is 101.0; 100 is the most here"):
            await client.start("true", limits=Limits(time=101))
        with pytest.raises(InvalidRequest, match=r"limits.output is .*; 1073741824 is the most"):
            await client.start("true", limits=Limits(output=2**31))


async def test_what_no_controller_keeps_is_refused_with_the_reason(limited: Service) -> None:
    async with client_for(limited) as client:
        with pytest.raises(InvalidRequest, match=r"limits.memory can't be kept here"):
            await client.start("true", limits=Limits(memory=2**26))


async def test_an_output_limit_drops_and_says_so(limited: Service) -> None:
    async with client_for(limited) as client:
        job = await client.start("head", "-c", "300000", "/dev/zero", limits=Limits(output=100_000))
        status = await job.wait()
        assert status.exit_code == 0
        assert status.output.total < 100_000
        assert status.output.total + status.output.dropped == 300_000


async def test_a_time_limit_holds_over_a_restart_of_the_server(
    tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            script = "trap '' TERM; sleep 60 & wait; sleep 60"
            job = await client.start(
                "bash", "-c", script, limits=Limits(time=1.5), grace_period=0.2
            )
            await asyncio.to_thread(service.kill_server)
            status = await job.wait()
            assert (status.state, status.cause) == (JobState.STOPPED, Cause.TIME_LIMIT)
            assert (status.signal, status.reason) == ("SIGKILL", "time limit 1.5 s")
            assert status.started_at
            assert status.ended_at
            assert 1.7 <= (status.ended_at - status.started_at).total_seconds() < 30


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("jobUser: nobody-at-all", "jobUser: this machine knows no user 'nobody-at-all'"),
        ("users: [root, nosuch]", "users: this machine knows no user 'nosuch'"),
        ("users: [7]", "users must be a text"),
        ("users: alice", "users must be a list"),
        ("limits: {speed: 9}", "limits has no 'speed': it has time, memory"),
        ("maxLimits: {time: -1}", "maxLimits.time must be more than 0"),
        ("limits: 5", "limits must be names with their values"),
    ],
)
async def test_what_can_not_be_configured_is_said(
    tmp_path: Path, certificates: Path, line: str, complaint: str
) -> None:
    file = configured(tmp_path, certificates, also=line + "\n")
    program = await asyncio.create_subprocess_exec(
        PROGRAM, "--config", file, stderr=asyncio.subprocess.PIPE
    )
    _, said = await program.communicate()
    assert complaint in said.decode()
    assert program.returncode == 2
