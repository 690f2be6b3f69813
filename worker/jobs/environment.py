"""What surrounds a job: a clean environment, the PATH that is searched, the directory.

Nothing of our own environment reaches a job: what it gets is what a login of its user would
give, the job's id, and what the request says.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, replace
from typing import Final, Self
from uuid import UUID

from worker.errors import InvalidRequest
from worker.spec import JobSpec

JOB_ID: Final = "WORKER_JOB_ID"  # also how the keeper finds a job's processes without cgroups
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_ROOT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class User:
    """Whom jobs run as. `uid` None: as the service itself, nothing is changed."""

    name: str
    home: str
    shell: str
    path: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    @classmethod
    def of(cls, uid: int) -> Self:
        """From the password database; a container's user often isn't in it."""
        path = _PATH if uid else _ROOT_PATH
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(str(uid), "/", "/bin/sh", path)
        return cls(entry.pw_name, entry.pw_dir or "/", entry.pw_shell or "/bin/sh", path)

    @classmethod
    def current(cls) -> Self:
        return cls.of(os.geteuid())

    @classmethod
    def named(cls, name: str) -> Self:
        """With all its groups, and none of ours. Raises InvalidRequest for one that isn't known."""
        try:
            entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except (KeyError, OverflowError, ValueError):  # of int: too many digits
            raise InvalidRequest(f"user: this machine knows no user {name!r}") from None
        groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
        found = cls.of(entry.pw_uid)
        return replace(found, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)

    def environment(self, spec: JobSpec, job_id: UUID) -> dict[str, str]:
        return {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": self.shell,
            "PATH": self.path,
            "LANG": "C.UTF-8",
            **spec.environment,
            JOB_ID: str(job_id),
        }

    def directory(self, spec: JobSpec) -> str:
        """What the request says, else the home; / where a service's user has none."""
        if spec.working_directory is not None:
            return spec.working_directory
        # Not Path's: its is_dir raises where the way there is closed to us.
        return self.home if os.path.isdir(self.home) else "/"  # noqa: PTH112
