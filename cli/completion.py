"""Job ids for the shell's Tab key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import typer

from cli.render import printable
from cli.session import config_of
from worker.client import Client
from worker.errors import WorkerError
from worker.listing import JobFilter
from worker.state import JobStatus

PATIENCE: Final = 3.0  # seconds: a person has pressed Tab and waits
MANY: Final = 50


def live_jobs(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The newest jobs whose id goes on so. Whatever goes wrong, the shell shows nothing."""
    group = context.find_root()
    try:
        jobs = asyncio.run(_asked(group.params.get("config"), incomplete))
    except (WorkerError, TimeoutError):
        return
    for job in jobs:
        # No word of the job's own: zsh reads the description as code, and typer escapes too little.
        yield str(job.id), printable(job.state)


async def _asked(config: str | None, begins: str) -> tuple[JobStatus, ...]:
    async with asyncio.timeout(PATIENCE), Client(config_of(config), patience=0) as client:
        return (await client.page(JobFilter(id_prefix=begins), limit=MANY)).jobs
