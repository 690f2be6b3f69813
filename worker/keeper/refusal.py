"""Why a command could not be started, as a sentence that names the file and the reason."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from worker.keeper.child import Failure, Program, Stage
from worker.keeper.messages import Refusal, Spawn

NO_ROOM: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT),
        *(errno.EMFILE, errno.ENFILE),
        *(errno.EAGAIN, errno.ENOMEM),
    }
)
REASONS: Final = {
    errno.ENOENT: "not found",
    errno.ENOTDIR: "not found: a part of the path is not a directory",
    errno.ENOEXEC: "not a program: neither an executable format nor a first line with #!",
    errno.E2BIG: "arguments and environment are too long together",
    errno.ELOOP: "too many symbolic links, or a script as interpreter of a script",
    errno.ETXTBSY: "the file is being written at the moment",
    errno.ENAMETOOLONG: "the name is too long",
}


def refusal_of(request: Spawn, program: Program, failure: Failure) -> tuple[Refusal, str]:
    if failure.error in NO_ROOM:
        return Refusal.NO_ROOM, f"{request.command}: {os.strerror(failure.error)}"
    if failure.stage is Stage.DIRECTORY:
        reason = REASONS.get(failure.error) or os.strerror(failure.error).lower()
        return Refusal.CANNOT_EXECUTE, f"working directory {request.directory}: {reason}"
    if failure.stage is Stage.EXECUTE:
        return Refusal.CANNOT_EXECUTE, _not_executed(request, program, failure)
    return Refusal.FAULT, f"{request.command}: preparing failed: {os.strerror(failure.error)}"


def _not_executed(request: Spawn, program: Program, failure: Failure) -> str:
    path = Path(os.fsdecode(program.directory), os.fsdecode(program.candidates[failure.tried]))
    if failure.error == errno.EACCES:
        if path.is_dir():
            return f"{path}: is a directory"
        return f"{path}: not executable (permission denied)"
    if failure.error == errno.ENOENT:
        for candidate in program.candidates:
            found = Path(os.fsdecode(program.directory), os.fsdecode(candidate))
            if found.exists():
                return f"{found}: its interpreter {_interpreter_of(found)}is missing"
        if "/" not in request.command:
            return f"{request.command}: not found in PATH ({request.path})"
    reason = REASONS.get(failure.error) or os.strerror(failure.error).lower()
    return f"{path}: {reason}"


def _interpreter_of(script: Path) -> str:
    try:
        with script.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    return (
        f"{os.fsdecode(first[2:].split()[0])} " if first[:2] == b"#!" and first[2:].split() else ""
    )
