"""Runs inside the virtual machine: does each limit bite, under a real systemd with Delegate=yes?

Prints a line for each check, and DONE at the end; `.ci/vm` boots the machine and reads them.
"""

# ruff: noqa: T201 - it reports by printing

from __future__ import annotations

import asyncio
import traceback
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

from worker import Client, Job, Limits
from worker.client import ClientConfig
from worker.state import Cause, JobState, JobStatus, Outcome

CONFIG = Path("/etc/job-worker/workerclient.yaml")
MIB = 2**20
EATS = "python3 -c 'x = bytearray(300 * 2**20)'"  # less than the machine has: malloc grants it


async def ended(client: Client, script: str, **limits: float) -> JobStatus:
    job = await client.start("bash", "-c", script, limits=Limits(**limits))  # type: ignore[arg-type]  # by name
    return await job.wait()


async def memory_ends_the_leader(client: Client) -> None:
    status = await ended(client, f"exec {EATS}", memory=64 * MIB)
    assert (status.signal, status.exit_code, status.cause) == (
        "SIGKILL",
        137,
        Cause.MEMORY_LIMIT,
    ), status
    text = f"out of memory (limit {64 * MIB} bytes): the kernel killed 1 of its processes"
    assert status.reason == text, status.reason


async def memory_ends_a_child_only(client: Client) -> None:
    status = await ended(client, f"{EATS}; exit 3", memory=64 * MIB)
    assert (status.exit_code, status.cause) == (3, Cause.OWN_EXIT), status
    assert "the kernel killed 1 of its processes" in status.reason, status.reason


async def a_kill_is_no_lack_of_memory(client: Client) -> None:
    status = await ended(client, "kill -9 $$", memory=64 * MIB)
    assert (status.signal, status.cause, status.reason) == ("SIGKILL", Cause.OWN_EXIT, "")
    assert (await ended(client, "exit 137", memory=64 * MIB)).signal is None


async def a_fork_bomb_stays_small_and_ends(client: Client) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done"
    job = await client.start(
        "bash", "-c", bomb, limits=Limits(processes=40), grace_period=1, working_directory="/"
    )
    async for line in job.lines():
        if b"fork" in line:  # refused for lack of room
            break
    await job.stop()
    status = await job.wait()
    assert status.state is JobState.STOPPED, status


async def processors_are_shared_out(client: Client) -> None:
    status = await ended(client, "while :; do :; done", cpus=0.2, time=5)
    assert status.usage
    assert status.started_at
    assert status.ended_at
    used = (status.usage.user_cpu + status.usage.system_cpu).total_seconds()
    wall = (status.ended_at - status.started_at).total_seconds()
    print(f"   cpus=0.2: {used:.2f} s of CPU in {wall:.2f} s")
    assert used <= 0.3 * wall
    assert status.cause is Cause.TIME_LIMIT


async def what_was_used_is_told(client: Client) -> None:
    status = await ended(client, "python3 -c 'x = bytearray(30 * 2**20)'")
    assert status.usage
    assert status.usage.peak_memory
    print(f"   peak of a job with 30 MiB: {status.usage.peak_memory / MIB:.0f} MiB")
    assert 30 * MIB < status.usage.peak_memory < 120 * MIB


async def limits_are_told_with_who_keeps_them(client: Client) -> None:
    status = await ended(client, "true", memory=64 * MIB, cpus=1, processes=10)
    kept = {limit.name: str(limit.enforcement) for limit in status.limits}
    assert kept == {"memory": "cgroup", "cpus": "cgroup", "processes": "cgroup", "output": "keeper"}


async def a_session_of_its_own_is_contained(client: Client) -> None:
    job = await client.start("bash", "-c", "env -i setsid -f sleep 98701; exit 4")
    assert (await job.wait()).exit_code == 4
    assert await said_by("pgrep", "-f", "sleep 98701") == ""


async def a_reload_keeps_jobs_and_cgroups(client: Client) -> None:
    job = await client.start("sleep", "600", limits=Limits(memory=64 * MIB))
    await said_by("systemctl", "reload", "job-worker")
    await logged("jobs that go on")
    await memory_ends_the_leader(client)
    assert (await Job(job.id, client).status()).state is JobState.RUNNING
    await job.stop()
    assert (await job.wait()).signal == "SIGTERM"


async def a_restart_stops_the_jobs_and_tells_so(client: Client) -> None:
    job = await client.start("sleep", "600")
    await said_by("systemctl", "restart", "job-worker")
    status = await job.wait()  # which bears a slow start
    assert (status.state, status.cause) == (JobState.STOPPED, Cause.SHUTDOWN), status


async def the_keeper_killed_is_said_and_leaves_nothing(client: Client) -> None:
    await lost_by_a_kill_of(client, "main")


async def all_killed_at_once_is_said_and_leaves_nothing(client: Client) -> None:
    await lost_by_a_kill_of(client, "all")


async def lost_by_a_kill_of(client: Client, whom: str) -> None:
    ended = await client.start("sh", "-c", "exit 5")
    await ended.wait()
    job = await client.start("sh", "-c", "setsid sleep 98702 & echo kept; exec sleep 98702")
    async for line in job.lines():
        assert line == b"kept"
        break
    await said_by("systemctl", "kill", "-s", "KILL", f"--kill-whom={whom}", "job-worker")
    status = await job.wait()
    assert (status.outcome, status.exit_code) == (Outcome.LOST, None), status
    assert [line async for line in job.lines()] == [b"kept"]
    assert (await client.status(ended.id)).exit_code == 5
    assert await said_by("pgrep", "-f", "sleep 98702") == ""
    assert (await (await client.start("true")).wait()).exit_code == 0


async def said_by(*command: str) -> str:
    program = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    said, _ = await program.communicate()
    return said.decode()


async def logged(text: str) -> None:
    """Until the service has said so."""
    follow = ("journalctl", "--follow", "--no-tail", "-u", "job-worker", "-o", "cat")
    log = await asyncio.create_subprocess_exec(*follow, stdout=PIPE)
    assert log.stdout
    while text not in (line := (await log.stdout.readline()).decode()):
        assert line, "the log has ended"
    log.terminate()
    await log.wait()


CHECKS: list[Callable[[Client], Awaitable[None]]] = [
    memory_ends_the_leader,
    memory_ends_a_child_only,
    a_kill_is_no_lack_of_memory,
    a_fork_bomb_stays_small_and_ends,
    processors_are_shared_out,
    what_was_used_is_told,
    limits_are_told_with_who_keeps_them,
    a_session_of_its_own_is_contained,
    a_reload_keeps_jobs_and_cgroups,
    a_restart_stops_the_jobs_and_tells_so,
    the_keeper_killed_is_said_and_leaves_nothing,
    all_killed_at_once_is_said_and_leaves_nothing,
]


async def main() -> None:
    async with asyncio.timeout(60):
        await logged("listening on")
    async with Client(ClientConfig.load(CONFIG)) as client:
        for check in CHECKS:
            try:
                async with asyncio.timeout(60):
                    await check(client)
            except Exception:  # noqa: BLE001 - the next check tells more
                print(f"FAILED {check.__name__}\n{traceback.format_exc()}", flush=True)
            else:
                print(f"ok {check.__name__}", flush=True)


if __name__ == "__main__":
    print("BEGIN", flush=True)
    asyncio.run(main())
    print("DONE", flush=True)
