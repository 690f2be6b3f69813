"""What the configuration lets a request ask for: whom to run as, how much to use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from worker.errors import BadConfig, InvalidRequest, PermissionDenied
from worker.limits import CONTROLLERS, NO_LIMITS, Limits
from worker.server.rlimits import check_given
from worker.spec import JobSpec

NOT_NICER: Final = Limits(nice=0)


@dataclass(frozen=True, slots=True)
class Permitted:
    """`limits` where a request has none; `max_limits` hold for all.

    `job_user`: whom jobs run as that ask for no user; None: as the service, which may be root. As
    another user they don't get ahead of others, unless `max_limits` say so.
    """

    job_user: str | None = None
    users: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    max_limits: Limits = field(default_factory=Limits)

    @property
    def defaults(self) -> Limits:
        """For a request that has none: without a default, the most."""
        return self.limits.or_else(self.max_limits)

    def check_kept(self, controllers: frozenset[str]) -> None:
        """Raises BadConfig for a default that can't be kept here: no plain job could start."""
        self.check_given()
        self.check_controlled(controllers)

    def check_given(self) -> None:
        """Of `check_kept` what concerns each process by itself."""
        try:
            check_given(self.defaults)
        except InvalidRequest as error:
            text = str(error).removeprefix("limits.")
            raise BadConfig(f"limits and maxLimits: {text}") from None

    def check_controlled(self, controllers: frozenset[str]) -> None:
        """Of `check_kept` what concerns whole trees."""
        for name, controller in CONTROLLERS.items():
            if getattr(self.defaults, name) is not None and controller not in controllers:
                raise BadConfig(
                    f"limits and maxLimits: {name} can't be kept here: the cgroup v2 controller"
                    f" {controller} isn't given to the service (systemd: Delegate=yes)"
                )

    def check(self, spec: JobSpec) -> None:
        """Raises PermissionDenied for another user, InvalidRequest for more than is to be given."""
        users = self.users if self.job_user is None else self.users | {self.job_user}
        if spec.user is not None and spec.user not in users:
            some = ", ".join(sorted(users)) or "the server's `users` name none"
            raise PermissionDenied(f"user {spec.user!r} isn't one that jobs may run as: {some}")
        user = spec.user or self.job_user
        spec.limits.check_within(self.max_limits.or_else(NO_LIMITS if user is None else NOT_NICER))
        check_given(spec.limits)
