"""What a client must know: where the server is, whom to trust, what to show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from worker.settings import Address, Settings

_KEYS: Final = dict.fromkeys(("serverAddress", "serverCA", "clientCertificate", "clientKey"), str)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The files are PEM; they are read when a Client is entered."""

    server_address: Address
    server_ca: Path
    client_certificate: Path
    client_key: Path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """From a YAML file; the paths in it are relative to it. Raises BadConfig, naming both."""
        settings = Settings.load(Path(path), _KEYS)
        return cls(
            server_address=settings.address("serverAddress"),
            server_ca=settings.file("serverCA"),
            client_certificate=settings.file("clientCertificate"),
            client_key=settings.file("clientKey"),
        )
