"""What a server must know before it can serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from worker.jobs.retention import DEFAULT_RETENTION, Retention
from worker.settings import Address, Settings

DEFAULT_OUTPUT_CAP: Final = 2**30
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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Port 0 is any free one.

    `output_cap`: bytes that are kept of one job. `shutdown_grace`: seconds between SIGTERM and
    SIGKILL for the jobs that run when the service is told to go.
    """

    listen_address: Address
    client_ca: Path
    server_certificate: Path
    server_key: Path
    state_directory: Path
    output_cap: int = DEFAULT_OUTPUT_CAP
    shutdown_grace: float = DEFAULT_SHUTDOWN_GRACE
    retention: Retention = DEFAULT_RETENTION

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
            output_cap=settings.number("outputCap", DEFAULT_OUTPUT_CAP),
            shutdown_grace=settings.number("shutdownGrace", DEFAULT_SHUTDOWN_GRACE),
            retention=_retention(settings),
        )


def _retention(settings: Settings) -> Retention:
    """From 1 on: 0 might be meant as "without a limit"."""
    default = DEFAULT_RETENTION
    return Retention(
        age=settings.number("retentionAge", default.age, least=1),
        jobs=settings.number("retentionJobs", default.jobs, least=1),
        bytes=settings.number("retentionBytes", default.bytes, least=1),
    )
