"""What the keeper starts a server with, and its check: our own words, not checked further."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from worker.errors import BadConfig
from worker.server.config import ServerConfig

_RESTART: Final = "to change it, restart the service"


@dataclass(frozen=True, slots=True)
class Started:
    """`listen`, `keeper`: descriptors. `address`: as it was configured when the service began.

    `controllers`: the cgroup controllers that keep limits here.
    """

    config: Path
    listen: tuple[int, ...]
    address: str
    state: Path
    controllers: frozenset[str]
    keeper: int

    @classmethod
    def parsed(cls) -> Self:
        parser = argparse.ArgumentParser(description="Started by the keeper of workerserver.")
        parser.add_argument("--config", required=True, type=Path)
        parser.add_argument("--listen", required=True, type=_numbers)
        parser.add_argument("--address", required=True)
        parser.add_argument("--state", required=True, type=Path)
        parser.add_argument("--controllers", required=True, type=_names)
        parser.add_argument("--keeper", type=int, default=-1)
        return cls(**vars(parser.parse_args()))

    def differences(self, config: ServerConfig) -> Iterator[str]:
        """What can't change while the service runs, each in a sentence."""
        if str(config.listen_address) != self.address:
            yield f"{self.config}: listenAddress was {self.address}: {_RESTART}"
        if not _is_same(config.state_directory, self.state):
            yield f"{self.config}: stateDirectory was {self.state}: {_RESTART}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


def _is_same(folder: Path, state: Path) -> bool:
    try:
        return folder.samefile(state)
    except FileNotFoundError:  # a new one
        return False
    except OSError as error:
        raise BadConfig(f"{folder}: {error.strerror}") from error
