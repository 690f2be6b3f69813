"""From the command line to a connected client, and what is said meanwhile."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import typer

from cli.flow import say_what_fits
from cli.statuses import ExitStatus
from worker.client import Client, ClientConfig
from worker.errors import BadConfig

FILE: Final = "workerclient.yaml"
Result = TypeVar("Result")


@dataclass
class Invocation:
    """Of this program, as far as its command line has been read."""

    config: str | None = None
    verb: str | None = None


def connected(
    context: typer.Context,
    task: Callable[[Client], Awaitable[Result]],
    *,
    interrupted: str | Callable[[], str] = "interrupted",
) -> Result:
    """What `task` returns; a Ctrl-C ends with its status, and says `interrupted` or what that does.

    Before there was a connection nothing can have been asked for: that is said instead.
    """
    has_connected = False

    async def run() -> Result:
        nonlocal has_connected
        async with Client(config_of(context.obj.config)) as client:
            has_connected = True
            return await task(client)

    try:
        with _ctrl_c_raised():
            return asyncio.run(run())
    except KeyboardInterrupt:
        told = interrupted if isinstance(interrupted, str) else interrupted()
        say_what_fits(told if has_connected else "interrupted: nothing was asked for yet")
        raise typer.Exit(ExitStatus.INTERRUPTED) from None


@contextmanager
def _ctrl_c_raised() -> Iterator[None]:
    """What `main` had set would end us with open ends; asyncio takes over from this handler alone.

    Where Ctrl-C is ignored it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def config_of(named: str | None) -> ClientConfig:
    """Of the file that `--config` or $WORKERCLIENT_CONFIG names, else of the first found."""
    return ClientConfig.load(found() if named is None else named)


def found() -> Path:
    places = Path(FILE), Path(typer.get_app_dir("workerclient")) / FILE
    for place in places:
        # One that is there and can't be read is not passed over.
        with suppress(FileNotFoundError, NotADirectoryError):
            place.lstat()
            return place
    raise BadConfig(
        f"no configuration: neither {places[0]} here nor {places[1]};"
        " write one, or name it with --config FILE"
    )


class Notices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say_what_fits(record.getMessage())


def say_notices() -> None:
    """The client's own on stderr; those of asyncio and grpclib are for developers."""
    logging.getLogger("worker.client").addHandler(Notices())
    if not sys.flags.dev_mode:
        logging.getLogger().addHandler(logging.NullHandler())
