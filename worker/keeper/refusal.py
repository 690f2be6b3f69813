"""Why a command could not be started, as a sentence that names the file and the reason."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from worker.keeper.child import Failure, Program, Stage
from worker.keeper.messages import Refusal, Spawn

SHORTAGES: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), Refusal.DISK_FULL),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM), Refusal.NO_ROOM),
}
REASONS: Final = {
    errno.ENOENT: "not found",
    errno.EISDIR: "is a directory",
    errno.EACCES: "not executable (permission denied)",
    errno.ENOTDIR: "not found: a part of the path is not a directory",
    errno.ENOEXEC: "not a program: neither an executable format nor a first line with #!",
    errno.E2BIG: "arguments and environment are too long together",
    errno.ELOOP: "too many symbolic links, or a script as interpreter of a script",
    errno.ETXTBSY: "the file is being written at the moment",
    errno.ENAMETOOLONG: "the name is too long",
}


def refusal_of(request: Spawn, program: Program, failure: Failure) -> tuple[Refusal, str]:
    """From what the child has told: no file is looked at here, as that could take for ever."""
    if failure.error in SHORTAGES:
        return SHORTAGES[failure.error], f"{request.command}: {os.strerror(failure.error)}"
    reason = REASONS.get(failure.error) or os.strerror(failure.error).lower()
    match failure.stage:
        case Stage.SETUP:
            return Refusal.FAULT, f"{request.command}: preparing failed: {reason}"
        case Stage.LIMITS:
            asked = {"openFiles": request.open_files, "core": request.core, "nice": request.nice}
            said = [f"{name} {value}" for name, value in asked.items() if value is not None]
            text = f"limits: {', '.join(said)}: more than the service may give"
            return Refusal.CANNOT_EXECUTE, f"{text}: {reason}"
        case Stage.USER:
            text = f"user {request.user}: the service can't become it"
            return Refusal.CANNOT_EXECUTE, f"{text}: {reason}"
        case Stage.DIRECTORY:
            reason = "may not be entered" if failure.error == errno.EACCES else reason
            return Refusal.CANNOT_EXECUTE, f"working directory {request.directory}: {reason}"
        case _:
            return Refusal.CANNOT_EXECUTE, _of_command(request, program, failure, reason)


def _of_command(request: Spawn, program: Program, failure: Failure, reason: str) -> str:
    if (
        failure.error == errno.ENOENT
        and failure.stage is Stage.EXECUTE
        and "/" not in request.command
    ):
        return f"{request.command}: not found in PATH ({request.path})"
    path = Path(request.directory, os.fsdecode(program.candidates[failure.tried]))
    if failure.stage is Stage.INTERPRETER:
        interpreter = f"{failure.interpreter} " if failure.interpreter else ""
        return f"{path}: its interpreter {interpreter}is missing"
    return f"{path}: {reason}"
