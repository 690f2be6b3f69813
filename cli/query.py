"""`query`: what is known about jobs."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import typer

from cli.descriptors import STDOUT, text_bytes
from cli.each import Failures, each
from cli.json_option import AsJson
from cli.naming import Named
from cli.render import as_json, summary
from cli.session import connected
from worker.client import Client

EXAMPLES: Final = ("query 0b5f7cf2", "query --json -j 0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c")


def query(context: typer.Context, named: Named, *, json: AsJson = False) -> None:
    """Show what is known about a job, or several."""
    digits, failures = named.digits(), Failures()
    shown, between = (as_json, "") if json else (summary, "\n")

    async def queried(client: Client) -> None:
        before = ""

        async def ask(job: UUID) -> None:
            nonlocal before
            text = shown(await client.status(job))
            await failures.flow.write(STDOUT, text_bytes(before + text))
            before = between

        await each(client, digits, ask, failures)

    connected(context, queried)
    failures.end()
