"""A job on one line, for people."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta
from typing import Final

from cli.render import printable, state_of, word
from worker.state import JobState, JobStatus

_ROW: Final = "{:<13} {:<17} {:>6} {:>5} {:>9}  {}"
SHORT_ID: Final = 13  # characters: 12 digits and a dash
HEAD: Final = _ROW.format("JOB", "STATE", "STATUS", "AGE", "OUTPUT", "COMMAND") + "\n"


def row(job: JobStatus, now: datetime) -> str:
    command = " ".join(map(word, (job.command, *job.arguments)))
    state = "removed" if job.removed else printable(state_of(job))
    age = "" if job.created_at is None else age_of(now - job.created_at)
    line = _ROW.format(
        str(job.id)[:SHORT_ID], state, status_shown(job), age, size_shown(job.output.total), command
    )
    # Only a terminal is too narrow.
    return (line[: shutil.get_terminal_size().columns] if _is_terminal() else line) + "\n"


def status_shown(job: JobStatus) -> str:
    if job.signal:
        return printable(job.signal.removeprefix("SIG"))
    return "" if job.exit_code is None or job.state is JobState.LOST else str(job.exit_code)


def age_of(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def size_shown(size: int) -> str:
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 - the step between them
            return f"{number:.4g} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def _is_terminal() -> bool:
    return sys.__stdout__ is not None and sys.__stdout__.isatty()
