"""What a client may ask for, checked once, where it enters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from worker.errors import InvalidRequest
from worker.limits import Limits

DEFAULT_GRACE_PERIOD: Final = 10.0
DEFAULT_STOP_SIGNAL: Final = "SIGTERM"
MAX_GRACE_PERIOD: Final = 24 * 3600.0
# MAX_ARG_STRLEN of execve(2): 32 pages, the closing NUL included.
MAX_ARGUMENT: Final = 128 * 1024 - 1


class OutputMode(StrEnum):
    SEPARATE = "separate"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A process to run. Raises InvalidRequest, naming the field, for what can't be executed.

    `command` is looked up in the PATH of `environment`, else in the default one; with a slash
    it is relative to `working_directory` (default: the home of the job's user).
    `grace_period`: seconds between `stop_signal` and SIGKILL, 0 to 86400. `user`: a name or uid,
    None: the service's choice. `input`: stdin is a pipe for `send_input`, else /dev/null.
    """

    command: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    output_mode: OutputMode = OutputMode.SEPARATE
    grace_period: float = DEFAULT_GRACE_PERIOD
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    input: bool = False
    stop_signal: str = DEFAULT_STOP_SIGNAL
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        checked("commandName", self.command)
        if not self.command:
            raise InvalidRequest("commandName is empty: name a program to run")
        for number, argument in enumerate(self.arguments):
            checked(f"arguments[{number}]", argument)
        for name, value in self.environment.items():
            text(f"the value of environment[{name!r}]", value)
            if not text("a name in environment", name) or "=" in name:
                raise InvalidRequest(f"environment: {name!r} can't be the name of a variable")
            checked(f"environment[{name!r}]", f"{name}={value}")
        if self.working_directory is not None:
            checked("workingDirectory", self.working_directory)
            if not self.working_directory.startswith("/"):
                raise InvalidRequest("workingDirectory must be absolute")
        for name, value in self.labels.items():
            text("a name in labels", name)
            text(f"labels[{name!r}]", value)
            encoded(f"labels[{name!r}]", f"{name}={value}")
        if not isinstance(self.output_mode, OutputMode):
            raise InvalidRequest(f"outputMode must be an OutputMode, not {self.output_mode!r}")
        checked_grace_period(self.grace_period)
        self._check_control()

    def _check_control(self) -> None:
        if self.user is not None:
            checked("user", self.user)
        checked("stopSignal", self.stop_signal)
        if not isinstance(self.input, bool):
            raise InvalidRequest(f"input must be a bool, not {type(self.input).__name__}")
        if not isinstance(self.limits, Limits):
            raise InvalidRequest(f"limits must be Limits, not {type(self.limits).__name__}")


def text(name: str, value: object) -> str:
    """`value`, or InvalidRequest: a library's caller may pass anything."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a str, not {type(value).__name__}")
    return value


def checked(name: str, value: object) -> None:
    """Raise InvalidRequest unless execve(2) can take `value`."""
    if "\0" in text(name, value):
        raise InvalidRequest(f"{name} contains a NUL character, which no program can receive")
    size = len(encoded(name, text(name, value)))
    if size > MAX_ARGUMENT:
        raise InvalidRequest(f"{name} is {size} bytes long; {MAX_ARGUMENT} is the most")


def encoded(name: str, value: str) -> bytes:
    """`value` as the operating system takes it: bytes that weren't UTF-8 come back as they were."""
    try:
        return value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"{name}: {value!r} contains half a character, which no program can receive"
        ) from None


def checked_timeout(seconds: float | None) -> float | None:
    """`seconds`, or InvalidRequest; None: for ever."""
    return None if seconds is None else _checked_seconds("timeout", seconds)


def checked_grace_period(seconds: float) -> float:
    """`seconds`, or InvalidRequest."""
    if not 0 <= _checked_seconds("gracePeriod", seconds) <= MAX_GRACE_PERIOD:
        raise InvalidRequest(f"gracePeriod must be 0 to {MAX_GRACE_PERIOD:.0f} seconds")
    return seconds


def _checked_seconds(name: str, value: object) -> float:
    """`value`, or InvalidRequest for what no clock can be set to."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRequest(f"{name} must be a number, not {type(value).__name__}")
    with suppress(OverflowError):  # of an int beyond all floats
        if not math.isnan(value):
            return value
    raise InvalidRequest(f"{name} must be a number of seconds that can be counted")
