"""A configuration file of server or client: YAML, with exactly the keys that are known.

Each fault is a BadConfig of one sentence that names the file and, where there is one, the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import yaml

from worker.errors import BadConfig

_ADDRESS: Final = re.compile(r"(?:\[([^\[\]\s]+)\]|([^:\[\]\s]+)):([0-9]{1,5})")
_MAX_PORT: Final = 65535
LARGEST: Final = 1024 * 1024  # bytes of a file: a device has no end
MOST: Final = 2**53  # of any number: beyond it a float is no longer exact
_IN_WORDS: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list of texts",
    dict: "names with their values",
}

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT; an IPv6 address stands in brackets."""

    host: str
    port: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Raises BadConfig without the file's name: who has read the text knows where it stood."""
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match[3]) > _MAX_PORT:
            raise BadConfig(
                f"{text!r} is not HOST:PORT (localhost:5000, or [::1]:5000 for an IPv6 address)"
            )
        return cls(match[1] or match[2], int(match[3]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of one file, each of its type."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def load(
        cls, path: Path, required: Mapping[str, type], optional: Mapping[str, type] | None = None
    ) -> Self:
        known = {**required, **(optional or {})}
        values = _parsed(path)
        if not isinstance(values, dict):
            raise BadConfig(f"{path}: must hold the keys {', '.join(required)}")
        for key, value in values.items():
            if key not in known:
                raise BadConfig(f"{path}: unknown key {key!r}; the keys are {', '.join(known)}")
            _check_type(path, key, value, known[key])
        for key in required:
            if key not in values:
                raise BadConfig(f"{path}: the key {key} is missing: add it")
        return cls(path, values)

    def file(self, key: str) -> Path:
        """The path under `key`; a relative one is relative to the configuration file."""
        return self.path.parent / str(self.values[key])

    def address(self, key: str) -> Address:
        try:
            return Address.parsed(self.values[key])
        except BadConfig as error:
            raise BadConfig(f"{self.path}: {key}: {error}") from None

    def texts(self, key: str) -> list[str]:
        values = self.values.get(key, [])
        for value in values:
            _check_type(self.path, key, value, str)
        return list(values)

    def number(self, key: str, default: N, *, least: int = 0) -> N:
        value: N = self.values.get(key, default)
        if not least <= value <= MOST:
            raise BadConfig(f"{self.path}: {key} must be {least} to {MOST}")
        return value


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key that is given twice: PyYAML keeps the last one, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in keys[:place]:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is given twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


def contents_of(path: Path) -> bytes:
    """Raises OSError; BadConfig, without the file's name, for more than LARGEST."""
    with path.open("rb") as file:
        contents = file.read(LARGEST + 1)
    if len(contents) > LARGEST:
        raise BadConfig(f"more than {LARGEST} bytes long: is it the file that you meant?")
    return contents


def _parsed(path: Path) -> Any:
    try:
        text = contents_of(path).decode()
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except BadConfig as error:
        raise BadConfig(f"{path}: {error}") from None
    except OSError as error:
        raise BadConfig(
            f"{path}: {error.strerror}: name the configuration file with --config"
        ) from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        raise BadConfig(f"{path}: not YAML: {error.problem}{line}") from error
    # Not text, a date of February 30th, ...
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadConfig(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def _check_type(path: Path, key: str, value: object, kind: type) -> None:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or isinstance(value, bool) or value == "" or "\0" in str(value):
        raise BadConfig(f"{path}: {key} must be {_IN_WORDS[kind]}, not {value!r}")
