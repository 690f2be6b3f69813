"""What the configuration lets a request ask for: whom to run as, how much to use."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from worker.errors import InvalidRequest, PermissionDenied
from worker.limits import WIRE_NAME, Limits
from worker.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Permitted:
    """`limits` where a request has none; `max_limits` hold for all."""

    users: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    max_limits: Limits = field(default_factory=Limits)

    @property
    def defaults(self) -> Limits:
        """For a request that has none: without a default, the most."""
        return self.limits.or_else(self.max_limits)

    def check(self, spec: JobSpec) -> None:
        """Raises PermissionDenied for another user, InvalidRequest for more than the most."""
        if spec.user is not None and spec.user not in self.users:
            some = ", ".join(sorted(self.users)) or "nobody"
            raise PermissionDenied(f"user {spec.user!r} isn't one that jobs may run as: {some}")
        for each in fields(Limits):
            value, most = getattr(spec.limits, each.name), getattr(self.max_limits, each.name)
            if value is None or most is None:
                continue
            if value < most if each.name == "nice" else value > most:
                word = "least" if each.name == "nice" else "most"
                name = WIRE_NAME[each.name]
                raise InvalidRequest(f"limits.{name} is {value}; {most} is the {word} here")
