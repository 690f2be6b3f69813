"""What a server must know before it can serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

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
_OPTIONAL: Final = {"outputCap": int, "shutdownGrace": float}


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
        )
