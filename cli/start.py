"""`start`: whose arguments are the job's and not ours.

argv is split at the first `-args` or `--`, before any option is looked for: what follows
reaches the job as it stands, dashes, further `--`, empty and broken lines included.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import uuid4

import typer
from typer.core import TyperCommand

from cli.descriptors import CannotWrite, ReaderGone, say, write_text
from cli.session import connected
from worker.client import Client
from worker.spec import DEFAULT_GRACE_PERIOD, MAX_GRACE_PERIOD, JobSpec, OutputMode

SEPARATORS: Final = ("-args", "--")
EXAMPLES: Final = (
    "start ls -args -la /tmp",
    "start -- ls -la /tmp",
    "start --env LANG=C.UTF-8 --directory /srv -- make all",
)


def split(arguments: list[str]) -> tuple[list[str], str | None, list[str]]:
    """What is ours, the separator, what is the job's."""
    for place, argument in enumerate(arguments):
        if argument in SEPARATORS:
            return arguments[:place], argument, arguments[place + 1 :]
    return arguments, None, []


class StartCommand(TyperCommand):
    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        return ["[OPTIONS]", "COMMAND", "[-args ARGUMENT...]"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own, separator, rest = split(args)
        super().parse_args(ctx, own)
        words = ctx.params["words"] or []
        if len(words) > 1:
            ctx.fail(
                f"{words[1]!r} follows the command: put the job's arguments after -args or --,"
                " and options of start before the command"
            )
        # Or `start $EMPTY -args rm` would run what was meant as an argument.
        if not words and (separator != "--" or not rest):
            ctx.fail("no command: workerclient start COMMAND -args ARGUMENT...")
        ctx.params["words"] = words + rest
        return rest


def start(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    *,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A variable for the job; again for more."),
    ] = None,
    directory: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where the job runs; absolute.")
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="One pipe for stdout and stderr: their exact order.")
    ] = False,
    grace_period: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=MAX_GRACE_PERIOD,
            help="What a stop leaves between SIGTERM and SIGKILL.",
        ),
    ] = DEFAULT_GRACE_PERIOD,
) -> None:
    """Start a job; print its id."""
    command, *arguments = words or []
    spec = JobSpec(
        command,
        tuple(arguments),
        environment=dict(map(variable, env or [])),
        working_directory=directory,
        output_mode=OutputMode.MERGED if merged else OutputMode.SEPARATE,
        grace_period=grace_period,
    )
    job_id = uuid4()

    async def submitted(client: Client) -> None:
        await client.submit(spec, job_id)

    interrupted = f"interrupted: job {job_id} may have been started: query it"
    connected(context, submitted, interrupted=interrupted)
    try:
        write_text(f"{job_id}\n")
    except (CannotWrite, ReaderGone):
        say(f"job {job_id} is started")  # or nobody would find it again
        raise


def variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
    return name, value
