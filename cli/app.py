"""workerclient: start, stop, query, stream and remove jobs on a workerserver.

Results go to stdout, everything else to stderr as one sentence a line, and never a traceback.
The exit status is 0 only on success; `cli.statuses` holds the others, `--help` shows them.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from io import StringIO
from typing import Annotated

import typer

from cli.descriptors import CannotWrite, ReaderGone, open_missing, say, write_text
from cli.jobs import query, remove, stop, stream
from cli.session import say_notices
from cli.start import EXAMPLES, StartCommand, start
from cli.statuses import MEANING, ExitStatus, exit_status
from worker.errors import WorkerError

STATUSES = "\b\nExit status:\n" + "\n".join(f"{s.value:>4}  {text}" for s, text in MEANING.items())

JOB = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"


def examples(*calls: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  workerclient {call}" for call in calls)


app = typer.Typer(add_completion=False, rich_markup_mode=None, epilog=STATUSES)
app.command(
    cls=StartCommand,
    epilog=examples(*EXAMPLES),
    context_settings={"allow_interspersed_args": False},
)(start)
app.command(epilog=examples(f"stop -j {JOB}", f"stop --grace-period 0 -j {JOB}"))(stop)
app.command(epilog=examples(f"query -j {JOB}", f"query --json -j {JOB}"))(query)
app.command(epilog=examples(f"stream -j {JOB}", f"stream --offset 4096 -j {JOB}"))(stream)
app.command("rm", epilog=examples(f"rm -j {JOB}"))(remove)


@app.callback()
def workerclient(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            envvar="WORKERCLIENT_CONFIG",
            metavar="FILE",
            help="Default: ./workerclient.yaml, else the one in your configuration folder.",
        ),
    ] = None,
) -> None:
    """Run processes on a workerserver, over mutual TLS."""
    context.obj = config


def run(arguments: list[str]) -> int:
    """The exit status; the one barrier of this process."""
    open_missing()
    say_notices()
    command = typer.main.get_command(app)
    try:
        with redirect_stdout(StringIO()) as help_text:
            status = command.main(arguments, "workerclient", standalone_mode=False)
        write_text(help_text.getvalue())
    except ReaderGone:
        return ExitStatus.READER_GONE
    except typer.TyperException as error:  # of the command line
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "workerclient"
        say(f"{error.format_message()} (see {path} --help)")
        return ExitStatus.SETUP
    except (WorkerError, CannotWrite) as error:
        say(str(error))
        return exit_status(error)
    except Exception as fault:
        if sys.flags.dev_mode:
            raise
        say(f"a fault of workerclient itself: {fault!r} (PYTHONDEVMODE=1 shows where)")
        return ExitStatus.FAULT
    return status or ExitStatus.DONE
