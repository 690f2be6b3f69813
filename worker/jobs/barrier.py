"""The one barrier of this package: a fault of ours costs the job that it meets, and no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import InternalError
from worker.jobs.tracked import TrackedJob

log = logging.getLogger(__name__)


@contextmanager
def costing_only(job: TrackedJob, *, unless: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Nothing is recorded: what became of `job` is found out when the directory is opened again.

    Those of `unless` pass.
    """
    try:
        yield
    except unless:
        raise
    except Exception:  # whatever it is, the other jobs go on
        job_id = job.status.id
        log.exception("job %s: a fault of ours; the next start looks at it again", job_id)
        job.tell_failure(InternalError(f"job {job_id}: a fault of ours, which the log tells"))
