"""Output that is durable while its job runs, so that a long one loses little in a power cut."""

from __future__ import annotations

import logging
from typing import Final

from worker.errors import NoRoom
from worker.jobs.folder import sync
from worker.jobs.threads import ENDS
from worker.jobs.tracked import TrackedJob

SYNC_EVERY: Final = 64 * 2**20  # bytes

log = logging.getLogger(__name__)


async def kept_durable(job: TrackedJob) -> None:
    """Until nothing more will be told; what is printed after that is made durable with the end."""
    synced = 0
    while True:
        await job.wait_grown(synced + SYNC_EVERY)
        if job.is_complete or job.is_over:
            return
        synced = job.size
        try:
            for name in ("output", "index"):
                await ENDS.run(sync, job.folder / name)
        except (OSError, NoRoom) as error:
            log.error("%s may not survive a power cut: %s", job.folder, error)
