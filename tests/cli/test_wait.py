"""`wait`: its status, and a reader that goes away."""

import pytest

from cli.statuses import ExitStatus
from tests.cli.program import TIMEOUT, Program
from tests.cli.test_as_a_command import started


@pytest.mark.parametrize("is_first", [True, False])
def test_time_that_is_up_is_124_in_any_order(connected: Program, is_first: bool) -> None:  # noqa: FBT001
    ended, running = (
        started(connected, "sh", "--", "-c", "exit 4"),
        started(connected, "--", "sleep", "98745"),
    )
    connected.run("wait", ended)
    jobs = (ended, running) if is_first else (running, ended)
    assert connected.run("wait", "--timeout", "0.1", *jobs).status == ExitStatus.TIME_IS_UP
    connected.run("stop", "--grace", "0", running)


def test_a_reader_that_goes_away_ends_a_wait(connected: Program) -> None:
    job = started(connected, "--", "sleep", "98746")
    with connected.popen("wait", "--json", job) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(TIMEOUT) == ExitStatus.READER_GONE
    connected.run("stop", "--grace", "0", job)
