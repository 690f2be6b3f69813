"""Signals have the names of kill(1)."""

import signal

import pytest

from worker.errors import InvalidRequest
from worker.jobs.signals import signal_name, signal_number


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGTERM, "SIGTERM"),
        (signal.SIGRTMIN, "SIGRTMIN"),
        (signal.SIGRTMIN + 3, "SIGRTMIN+3"),
        (signal.SIGRTMAX, f"SIGRTMIN+{signal.SIGRTMAX - signal.SIGRTMIN}"),
        (signal.SIGRTMIN - 1, f"SIG{signal.SIGRTMIN - 1}"),
    ],
)
def test_signals_have_the_names_of_kill(number: int, name: str) -> None:
    assert signal_name(number) == name
    assert signal_number(name, "signal") == number


@pytest.mark.parametrize("name", ["TERM", "sigterm", "15", " SIGTERM "])
def test_a_name_may_be_short(name: str) -> None:
    assert signal_number(name, "signal") == signal.SIGTERM


@pytest.mark.parametrize(
    "name",
    [
        *("", "SIG", "0", "-9", "65", "SIGNOPE", "RTMIN+99", "RTMIN+", "٩", "RTMIN+٣"),
        *("9" * 5000, "RTMIN+" + "9" * 5000),  # more than int takes
    ],
)
def test_what_is_no_signal_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="stopSignal"):
        signal_number(name, "stopSignal")
