"""What a server must know before it can serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self, TypeVar

from worker.errors import BadConfig, InvalidRequest
from worker.jobs.environment import User
from worker.jobs.request import OUTPUT_CAP
from worker.jobs.retention import DEFAULT_RETENTION, Retention
from worker.limits import LEAST_OUTPUT, WIRE_NAME, Limits
from worker.server.permitted import Permitted
from worker.settings import Address, Settings

N = TypeVar("N", str, str | None)
DEFAULT_SHUTDOWN_GRACE: Final = 10.0
_REQUIRED: Final = {
    "listenAddress": str,
    "clientCA": str,
    "serverCertificate": str,
    "serverKey": str,
    "stateDirectory": str,
}
_OPTIONAL: Final = {
    "outputCap": int,
    "shutdownGrace": float,
    "retentionAge": float,
    "retentionJobs": int,
    "retentionBytes": int,
    "jobUser": str,
    "users": list,
    "limits": dict,
    "maxLimits": dict,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Port 0 is any free one.

    `shutdown_grace`: seconds between SIGTERM and SIGKILL for the jobs that run when the service is
    told to go. `permitted`: what holds for requests; the most of output is the lesser of outputCap
    and maxLimits.output, and `limits` don't exceed `max_limits`.
    """

    listen_address: Address
    client_ca: Path
    server_certificate: Path
    server_key: Path
    state_directory: Path
    shutdown_grace: float = DEFAULT_SHUTDOWN_GRACE
    retention: Retention = DEFAULT_RETENTION
    permitted: Permitted = field(default_factory=Permitted)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a YAML file; the paths in it are relative to it. Raises BadConfig, naming both."""
        settings = Settings.load(path, _REQUIRED, _OPTIONAL)
        return cls(
            listen_address=settings.address("listenAddress"),
            client_ca=settings.file("clientCA"),
            server_certificate=settings.file("serverCertificate"),
            server_key=settings.file("serverKey"),
            state_directory=settings.file("stateDirectory"),
            shutdown_grace=settings.number("shutdownGrace", DEFAULT_SHUTDOWN_GRACE),
            retention=_retention(settings),
            permitted=_permitted(settings),
        )


def _permitted(settings: Settings) -> Permitted:
    cap = settings.number("outputCap", OUTPUT_CAP, least=LEAST_OUTPUT)
    limits, most = _limits(settings, "limits"), _limits(settings, "maxLimits")
    most = replace(most, output=cap if most.output is None else min(cap, most.output))
    with _named(settings, "limits"):
        limits.check_within(most)
    return Permitted(
        job_user=_known(settings, "jobUser", settings.values.get("jobUser")),
        users=frozenset(_known(settings, "users", name) for name in settings.texts("users")),
        limits=limits,
        max_limits=most,
    )


def _known(settings: Settings, key: str, user: N) -> N:
    """A user of this machine. Raises BadConfig."""
    try:
        if user is not None:
            User.named(user)
    except InvalidRequest as error:
        text = str(error).removeprefix("user: ")
        raise BadConfig(f"{settings.path}: {key}: {text}") from None
    return user


def _limits(settings: Settings, key: str) -> Limits:
    """Under the wire's names. Raises BadConfig."""
    values = settings.values.get(key, {})
    names = {on_wire: name for name, on_wire in WIRE_NAME.items()}
    for name in values:
        if name not in names:
            raise BadConfig(f"{settings.path}: {key} has no {name!r}: it has {', '.join(names)}")
    with _named(settings, key):
        return Limits(**{names[name]: value for name, value in values.items()})


@contextmanager
def _named(settings: Settings, key: str) -> Iterator[None]:
    """Raises BadConfig for what is wrong with the limits under `key`."""
    try:
        yield
    except InvalidRequest as error:
        text = str(error).removeprefix("limits.")
        raise BadConfig(f"{settings.path}: {key}.{text}") from None


def _retention(settings: Settings) -> Retention:
    """From 1 on: 0 might be meant as "without a limit"."""
    default = DEFAULT_RETENTION
    return Retention(
        age=settings.number("retentionAge", default.age, least=1),
        jobs=settings.number("retentionJobs", default.jobs, least=1),
        bytes=settings.number("retentionBytes", default.bytes, least=1),
    )
