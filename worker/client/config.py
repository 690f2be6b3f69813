"""What a client must know: where the server is, whom to trust, what to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from worker.errors import BadConfig

KEYS: Final = ("serverAddress", "serverCA", "clientCertificate", "clientKey")
ADDRESS: Final = re.compile(r"(?:\[([^\[\]\s]+)\]|([^:\[\]\s]+)):([0-9]{1,5})")
MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """`server_address` is HOST:PORT, an IPv6 address in brackets; the files are PEM.

    Raises BadConfig for an address that is none. The files are read when a Client is entered.
    """

    server_address: str
    server_ca: Path
    client_certificate: Path
    client_key: Path

    def __post_init__(self) -> None:
        host_and_port(self.server_address)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """From a YAML file; the paths in it are relative to it. Raises BadConfig, naming both."""
        path = Path(path)
        values = checked(path, parsed(path))
        folder = path.parent
        try:
            return cls(
                server_address=values["serverAddress"],
                server_ca=folder / values["serverCA"],
                client_certificate=folder / values["clientCertificate"],
                client_key=folder / values["clientKey"],
            )
        except BadConfig as error:
            raise BadConfig(f"{path}: {error}") from None


def host_and_port(address: str) -> tuple[str, int]:
    match = ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[3]) <= MAX_PORT:
        raise BadConfig(
            f"serverAddress: {address!r} is not HOST:PORT"
            " (localhost:5000, or [::1]:5000 for an IPv6 address)"
        )
    return match[1] or match[2], int(match[3])


def parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        raise BadConfig(f"{path}: not YAML: {error.problem}{line}") from error
    except (yaml.YAMLError, ValueError) as error:  # not text, or a date that doesn't exist
        raise BadConfig(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def checked(path: Path, values: Any) -> Mapping[str, str]:
    """`values` if they are exactly KEYS, each with a text."""
    if not isinstance(values, dict):
        raise BadConfig(f"{path}: must hold the keys {', '.join(KEYS)}")
    for key in values:
        if key not in KEYS:
            raise BadConfig(f"{path}: unknown key {key!r}; the keys are {', '.join(KEYS)}")
    for key in KEYS:
        if key not in values:
            raise BadConfig(f"{path}: the key {key} is missing")
        if not isinstance(values[key], str) or not values[key]:
            raise BadConfig(f"{path}: {key} must be a text, not {values[key]!r}")
    return values
