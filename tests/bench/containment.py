"""What containment costs a start: the same jobs with cgroups and without."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tests.bench.compare import Peer, compare
from tests.bench.many_ended import STARTS, client_for, start_jobs
from tests.e2e.service import serving
from tests.keeper.test_ways import without_cgroups


def measure_containment(folder: Path, certificates: Path) -> None:
    contained, plain = folder / "contained", folder / "plain"
    contained.mkdir()
    plain.mkdir()
    with (
        serving(contained, certificates) as with_cgroups,
        serving(plain, certificates, before=without_cgroups()) as without,
    ):

        async def measure() -> None:
            async with client_for(with_cgroups) as ours, client_for(without) as other:
                peer = Peer("without", partial(start_jobs, other))
                work = partial(start_jobs, ours)
                await compare("start and wait, with cgroups", work, peer, f"{STARTS} jobs")

        asyncio.run(measure())
