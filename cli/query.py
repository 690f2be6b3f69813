"""`query`: what is known about jobs."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import typer

from cli.descriptors import write_text
from cli.each import Failures, each
from cli.json_option import AsJson
from cli.naming import Named
from cli.render import as_json, summary
from cli.session import connected
from worker.client import Client
from worker.state import JobStatus

EXAMPLES: Final = ("query 0b5f7cf2", "query --json -j 0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c")


def query(context: typer.Context, named: Named, *, json: AsJson = False) -> None:
    """Show what is known about a job, or several."""
    digits, failures = named.digits(), Failures()
    statuses: list[JobStatus] = []

    async def queried(client: Client) -> None:
        async def ask(job: UUID) -> None:
            statuses.append(await client.status(job))

        await each(client, digits, ask, failures)

    connected(context, queried)
    if json:
        write_text("".join(map(as_json, statuses)))
    else:
        write_text("\n".join(map(summary, statuses)))
    failures.end()
