"""Limits of each process that this service may not give to its jobs: found out by trying.

Only what is beyond our own needs a right. What was raised is put back, which needs none.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from typing import Final

from worker.errors import InvalidRequest
from worker.limits import WIRE_NAME, Limits

RLIMIT: Final[Mapping[str, int]] = {
    "open_files": resource.RLIMIT_NOFILE,
    "core": resource.RLIMIT_CORE,
}


def check_given(limits: Limits) -> None:
    """Raises InvalidRequest for the first that is more than we may give, as whatever user."""
    for name, number in RLIMIT.items():
        value, (soft, hard) = getattr(limits, name), resource.getrlimit(number)
        if value is None or hard == resource.RLIM_INFINITY or value <= hard:
            continue
        try:
            resource.setrlimit(number, (soft, value))
        except ValueError:  # Python's word for EPERM
            what = f"limits.{WIRE_NAME[name]} {value} is above what the service may give"
            raise InvalidRequest(f"{what}: its own limit is {hard}") from None
        resource.setrlimit(number, (soft, hard))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if limits.nice is None or limits.nice >= own:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, limits.nice)
    except PermissionError:
        what = f"limits.nice {limits.nice} is below what the service may give"
        raise InvalidRequest(f"{what}: its own is {own}") from None
    os.setpriority(os.PRIO_PROCESS, 0, own)
