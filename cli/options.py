"""What the contract calls things, and what was typed: a refusal names the option."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import typer

from worker.errors import InvalidRequest

OPTION: Final[Mapping[str, str]] = {
    "commandName": "the command",
    "workingDirectory": "--cwd",
    "gracePeriod": "--grace",
    "stopSignal": "--stop-signal",
    "user": "--user",
    "limits.time": "--timeout",
    "limits.memory": "--memory",
    "limits.cpus": "--cpus",
    "limits.processes": "--pids",
    "limits.output": "--output-cap",
    "limits.openFiles": "--open-files",
    "limits.core": "--core",
    "limits.nice": "--nice",
    "offset, tailBytes and tailLines": "--offset and --tail",
    "offset": "--offset",
    "tailLines": "--tail",
    "stream": "--stdout, --stderr",
}
_LONGEST_FIRST: Final = sorted(OPTION, key=len, reverse=True)
_FIELD: Final = re.compile(rf"^({'|'.join(map(re.escape, _LONGEST_FIRST))})\b")


def as_typed(error: InvalidRequest) -> str:
    """Its sentence, which begins with the name of a field."""
    return _FIELD.sub(lambda field: OPTION[field[0]], str(error))


@contextmanager
def mistakes_told() -> Iterator[None]:
    """What is refused before anything is dialled is a mistake on the command line."""
    try:
        yield
    except InvalidRequest as error:
        raise typer.BadParameter(as_typed(error)) from error
