"""How a job ended: from its files to its final status.

There is one way, taken when the keeper tells of an end and when a directory is opened. Nothing
is guessed: what the files don't say makes the job LOST.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from worker.errors import NoRoom
from worker.jobs.clock import usage_of, utc
from worker.jobs.folder import SCARCE, MissingFile, TornFile, make_durable, output_size, read_ended
from worker.jobs.signals import signal_name
from worker.jobs.tally import Tally
from worker.jobs.threads import ENDS
from worker.keeper.records import SIGNALED, EndRecord
from worker.state import Cause, JobState, JobStatus, Outcome, OutputSize

_STOPPED: Final = frozenset({Cause.STOP, Cause.TIME_LIMIT, Cause.SHUTDOWN})
_RETRY_S: Final = 1.0

log = logging.getLogger(__name__)


async def final_status(status: JobStatus, folder: Path) -> JobStatus:
    """What `ended` says of the job, once that would survive a power cut; LOST without one."""
    while True:
        try:
            record = await ENDS.run(_read_durably, folder)
            return ended_status(status, record)
        except MissingFile:
            reason = "its end was not recorded: the keeper failed, or its folder was removed"
            return await lost_status(status, folder, reason)
        except TornFile as error:
            return await lost_status(status, folder, str(error))
        except (OSError, NoRoom) as error:  # no descriptor, no thread: it only can't be read yet
            log.warning("job %s: its end can't be read yet: %s", status.id, error)
            await asyncio.sleep(_RETRY_S)


def ended_status(status: JobStatus, record: EndRecord) -> JobStatus:
    """Raises TornFile for a record that no keeper writes."""
    try:
        cause = Cause(record.cause)
    except ValueError as error:
        raise TornFile(f"unknown cause {record.cause!r}") from error
    state, outcome = JobState.STOPPED if cause in _STOPPED else JobState.EXITED, Outcome.EXITED
    exit_code = record.code
    if record.signal is not None:
        outcome, exit_code = Outcome.SIGNALED, 128 + record.signal
    if cause is Cause.LOST or exit_code is None:
        state, outcome, cause, exit_code = JobState.LOST, Outcome.LOST, Cause.LOST, None
    return replace(
        status,
        state=state,
        started_at=utc(record.started_us),
        leader_exited_at=utc(record.leader_exited_us),
        ended_at=utc(record.ended_us),
        outcome=outcome,
        exit_code=exit_code,
        signal=None if record.signal is None else signal_name(record.signal),
        cause=cause,
        reason=record.reason,
        paused=False,
        stopped_by=record.stopped_by,
        output=OutputSize(record.stdout, record.stderr, record.merged, record.dropped),
        usage=usage_of(record.user_us, record.system_us, record.peak_memory),
    )


async def lost_status(status: JobStatus, folder: Path, reason: str) -> JobStatus:
    """Without a guess at the result; its output so far stays readable.

    That may be less than its index says, after a power cut.
    """
    tally = Tally(folder, limit=output_size(folder))
    output = await tally.sizes()
    if tally.exit is not None:
        reason += f"; before that its leader had ended {_exit_text(tally.exit)}"
    log.error("job %s is lost: %s", status.id, reason)
    return replace(
        status,
        state=JobState.LOST,
        outcome=Outcome.LOST,
        cause=Cause.LOST,
        reason=reason,
        paused=False,
        output=output,
    )


def _exit_text(value: int) -> str:
    if value & SIGNALED:
        return f"by {signal_name(value & ~SIGNALED)}"
    return f"with exit code {value}"


def _read_durably(folder: Path) -> EndRecord:
    record = read_ended(folder)
    try:
        make_durable(folder)
    except OSError as error:
        if error.errno in SCARCE:
            raise
        # The end is true all the same: only a power cut could still take it back.
        log.error("%s may not survive a power cut: %s", folder, error.strerror)
    return record
