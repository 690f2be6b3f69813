"""Output while nobody serves, against the same with a server: jobs don't notice."""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import statistics
import time
from pathlib import Path

from tests.bench.many_ended import client_for
from tests.e2e.service import Service, serving

MEGABYTES = 300
ROUNDS = 3
PRINT = "echo $$ > {gate}.pid; read x < {gate}; exec head -c {megabytes}M /dev/zero"


def measure_without_server(folder: Path, certificates: Path) -> None:
    home = folder / "down"
    home.mkdir()
    gates = [home / f"gate-{number}" for number in range(2 * ROUNDS)]
    for gate in gates:
        os.mkfifo(gate)
    with serving(home, certificates) as service:
        asyncio.run(start_printers(service, gates))
        served = [printed(gate) for gate in gates[:ROUNDS]]
        file = home / "server.yaml"
        text = file.read_text()
        file.write_text("broken")  # no server comes up until it is mended
        os.kill(service.server_pid, signal.SIGKILL)
        alone = [printed(gate) for gate in gates[ROUNDS:]]
        file.write_text(text)
        assert service.line().startswith("listening on ")
    check_all_is_kept(home)
    ratio = statistics.median(alone) / statistics.median(served)
    what = "output while the server is down"
    print(f"{what:36} {MEGABYTES:>8} MB  {statistics.median(alone):7.3f} s  ratio {ratio:5.2f}")


async def start_printers(service: Service, gates: list[Path]) -> None:
    async with client_for(service) as client:
        for gate in gates:
            script = PRINT.format(gate=gate, megabytes=MEGABYTES)
            await client.start("sh", "-c", script)


def printed(gate: Path) -> float:
    """Seconds until the one that waits at `gate` has printed all."""
    with gate.open("w") as opened:  # once it waits there
        pidfd = os.pidfd_open(int(gate.with_name(f"{gate.name}.pid").read_text()))
        began = time.perf_counter()
        opened.write("\n")
    select.select([pidfd], [], [])
    took = time.perf_counter() - began
    os.close(pidfd)
    return took


def check_all_is_kept(home: Path) -> None:
    for file in (home / "state" / "jobs").glob("*/ended"):
        content = json.loads(file.read_text())["content"]
        assert (content["stdout"], content["dropped"]) == (MEGABYTES * 2**20, 0)
