"""job-worker: run a process, stop it, query it, stream its output.

The public names are loaded when they are first asked for: the keeper imports this package
and must stay small.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.client import Client as Client
    from worker.errors import JobError as JobError
    from worker.errors import WorkerError as WorkerError
    from worker.job import Job as Job
    from worker.jobs.registry import Registry as Registry
    from worker.jobs.retention import Retention as Retention
    from worker.limits import Limits as Limits
    from worker.listing import JobFilter as JobFilter
    from worker.spec import JobSpec as JobSpec
    from worker.state import Cause as Cause
    from worker.state import Chunk as Chunk
    from worker.state import JobState as JobState
    from worker.state import JobStatus as JobStatus
    from worker.state import Outcome as Outcome
    from worker.state import Stream as Stream

_HOME = {
    "Cause": "worker.state",
    "Chunk": "worker.state",
    "Client": "worker.client",
    "Job": "worker.job",
    "JobError": "worker.errors",
    "JobFilter": "worker.listing",
    "JobSpec": "worker.spec",
    "JobState": "worker.state",
    "JobStatus": "worker.state",
    "Limits": "worker.limits",
    "Outcome": "worker.state",
    "Registry": "worker.jobs.registry",
    "Retention": "worker.jobs.retention",
    "Stream": "worker.state",
    "WorkerError": "worker.errors",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'worker' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the keeper must not pay for it

    return getattr(import_module(_HOME[name]), name)
