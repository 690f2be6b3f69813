"""workerclient: run, watch, control and list jobs on a workerserver.

Results go to stdout, everything else to stderr as one sentence a line, and never a traceback.
The exit status is 0 only on success; `cli.statuses` holds the others, `--help` shows them.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from typing import Annotated

import typer

from cli import control, logs, ls, query, run, start, wait
from cli.command_line import JobCommand
from cli.completion import take_shell
from cli.descriptors import CannotWrite, ReaderGone, open_missing, say, write_text
from cli.options import as_typed
from cli.parameters import filled, spread
from cli.session import Invocation, say_notices
from cli.statuses import MEANING, ExitStatus, as_told_by, exit_status
from cli.stdin import CannotRead
from worker.errors import InvalidRequest, WorkerError

STATUSES = "\b\nExit status:\n" + "\n".join(f"{s.value:>4}  {text}" for s, text in MEANING.items())


def examples(*calls: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  workerclient {call}" for call in calls)


app = typer.Typer(rich_markup_mode=None, epilog=STATUSES)
OWN_FIRST = {"allow_interspersed_args": False}
app.command(cls=JobCommand, epilog=examples(*run.EXAMPLES), context_settings=OWN_FIRST)(
    spread(run.run)
)
app.command(cls=JobCommand, epilog=examples(*start.EXAMPLES), context_settings=OWN_FIRST)(
    spread(start.start)
)
for verb, calls in (
    (control.stop, control.STOP_EXAMPLES),
    (query.query, query.EXAMPLES),
    (logs.logs, logs.EXAMPLES),
    (ls.ls, ls.EXAMPLES),
    (wait.wait, wait.EXAMPLES),
    (control.signal, control.SIGNAL_EXAMPLES),
    (control.pause, control.PAUSE_EXAMPLES),
    (control.resume, control.RESUME_EXAMPLES),
    (control.rm, control.RM_EXAMPLES),
):
    app.command(epilog=examples(*calls))(spread(verb))


app.command("stream", epilog=examples(*logs.STREAM_EXAMPLES))(spread(logs.logs))


def print_version(*, is_asked: bool) -> None:
    if is_asked:
        typer.echo(version("job-worker"))
        raise typer.Exit


@app.callback()
def workerclient(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            envvar="WORKERCLIENT_CONFIG",
            metavar="FILE",
            parser=filled,
            help="Default: ./workerclient.yaml, else the one in your configuration folder.",
        ),
    ] = None,
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print it and end."),
    ] = False,
) -> None:
    """Run processes on a workerserver, over mutual TLS."""
    invocation: Invocation = context.obj
    invocation.config = config
    invocation.verb = context.invoked_subcommand


def run_line(arguments: list[str]) -> int:
    """The exit status; the one barrier of this process."""
    open_missing()
    say_notices()
    invocation = Invocation()
    try:
        return _run(arguments, invocation)
    except ReaderGone:
        return ExitStatus.READER_GONE
    except typer.TyperException as error:  # of the command line
        context = getattr(error, "ctx", None)
        path = context.command_path if context else f"workerclient {invocation.verb or ''}".strip()
        what = error.format_message().replace("Value error, ", "")  # pydantic's, by typer
        say(f"{re.sub(r'(?<![.])[.]$', '', what)} (see {path} --help)")
        return as_told_by(invocation.verb, ExitStatus.SETUP)
    except (WorkerError, CannotWrite, CannotRead) as error:
        say(as_typed(error) if isinstance(error, InvalidRequest) else str(error))
        return as_told_by(invocation.verb, exit_status(error))
    except Exception as fault:
        if sys.flags.dev_mode:
            raise
        say(f"a fault of workerclient itself: {fault!r} (PYTHONDEVMODE=1 shows where)")
        return as_told_by(invocation.verb, ExitStatus.FAULT)


def _run(arguments: list[str], invocation: Invocation) -> int:
    take_shell(arguments)
    command = typer.main.get_command(app)
    text = StringIO()  # of --help and of shell completion, which ends with SystemExit
    try:
        with redirect_stdout(text):
            status = command.main(arguments, "workerclient", standalone_mode=False, obj=invocation)
    except SystemExit as end:
        status = end.code
    write_text(text.getvalue())
    return status or ExitStatus.DONE
