"""How a job ended is read from its files; what they don't say is LOST, never a success."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.folders import (
    ENDED,
    STARTED_US,
    request_of,
    versioned,
    write_ended,
    write_output,
    write_request,
)
from worker.errors import BadState
from worker.jobs.clock import utc
from worker.jobs.ending import final_status
from worker.jobs.row import Row
from worker.keeper.records import SIGNALED, Kind
from worker.state import Cause, JobState, JobStatus, Outcome, OutputSize

RUNNING = replace(Row.of(request_of(), "").status, state=JobState.RUNNING)

VALUES = asdict(ENDED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_output(tmp_path / "job", b"abc", [(Kind.RUN_STDOUT, 0, 1), (Kind.RUN_STDERR, 2, 1)])
    write_request(tmp_path / "job", request_of())
    return tmp_path / "job"


@pytest.mark.parametrize(
    ("record", "status"),
    [
        pytest.param(
            {"code": 0},
            (JobState.EXITED, Outcome.EXITED, 0, None, Cause.OWN_EXIT),
            id="a success",
        ),
        pytest.param(
            {"code": 137},
            (JobState.EXITED, Outcome.EXITED, 137, None, Cause.OWN_EXIT),
            id="a code of 137 is no signal",
        ),
        pytest.param(
            {"code": None, "signal": 9},
            (JobState.EXITED, Outcome.SIGNALED, 137, "SIGKILL", Cause.OWN_EXIT),
            id="a signal is no code",
        ),
        pytest.param(
            {"code": None, "signal": 15, "cause": "stop"},
            (JobState.STOPPED, Outcome.SIGNALED, 143, "SIGTERM", Cause.STOP),
            id="a stop",
        ),
        pytest.param(
            {"code": 3, "cause": "stop"},
            (JobState.STOPPED, Outcome.EXITED, 3, None, Cause.STOP),
            id="a stop that was answered with a code",
        ),
        pytest.param(
            {"code": None, "signal": 9, "cause": "time limit"},
            (JobState.STOPPED, Outcome.SIGNALED, 137, "SIGKILL", Cause.TIME_LIMIT),
            id="the time limit",
        ),
        pytest.param(
            {"code": None, "signal": 15, "cause": "shutdown"},
            (JobState.STOPPED, Outcome.SIGNALED, 143, "SIGTERM", Cause.SHUTDOWN),
            id="a shutdown",
        ),
        pytest.param(
            {"code": None, "signal": 9, "cause": "memory limit"},
            (JobState.EXITED, Outcome.SIGNALED, 137, "SIGKILL", Cause.MEMORY_LIMIT),
            id="the memory limit",
        ),
        pytest.param(
            {"code": None, "signal": None, "cause": "own exit"},
            (JobState.LOST, Outcome.LOST, None, None, Cause.LOST),
            id="neither code nor signal is no success",
        ),
        pytest.param(
            {"code": None, "signal": None, "cause": "lost"},
            (JobState.LOST, Outcome.LOST, None, None, Cause.LOST),
            id="what the keeper gave up",
        ),
    ],
)
async def test_an_end_is_told_as_it_was_recorded(
    folder: Path, record: dict[str, Any], status: tuple[object, ...]
) -> None:
    write_ended(folder, reason="why", stopped_by="bob", stdout=2, stderr=1, **record)
    final = await final_status(RUNNING, folder)
    assert (final.state, final.outcome, final.exit_code, final.signal, final.cause) == status
    assert (final.reason, final.stopped_by) == ("why", "bob")
    assert final.output == OutputSize(stdout=2, stderr=1)
    assert final.started_at == utc(STARTED_US)
    assert final.ended_at == utc(ENDED.ended_us)


def lost(final: JobStatus) -> bool:
    unknown = final.exit_code, final.signal, final.ended_at
    is_told = (final.state, final.outcome, final.cause) == (
        JobState.LOST,
        Outcome.LOST,
        Cause.LOST,
    )
    return is_told and unknown == (None, None, None) and final.reason != ""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" " * 4096, id="blank"),
        pytest.param('{"version":1,"content":{"code":0', id="cut short"),
        pytest.param("\0" * 4096, id="zeros"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[]", id="no object"),
        pytest.param(versioned({"code": 0}), id="fields are missing"),
        pytest.param(versioned({**VALUES, "code": "0"}), id="of another type"),
        pytest.param(versioned({**VALUES, "cause": "fate"}), id="unknown cause"),
        pytest.param(versioned({**VALUES, "ended_us": 2**70}), id="a time beyond all years"),
        pytest.param(versioned({**VALUES, "stdout": -1}), id="a negative size"),
        pytest.param(versioned({**VALUES, "signal": 9}), id="a code and a signal"),
    ],
)
async def test_a_torn_end_is_lost_and_one_line_in_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (folder / "ended").write_text(text)
    final = await final_status(RUNNING, folder)
    assert lost(final)
    assert final.output == OutputSize(stdout=2, stderr=1)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(7, "with exit code 7", id="a code"),
        pytest.param(SIGNALED | 11, "by SIGSEGV", id="a signal"),
    ],
)
async def test_a_leader_that_was_seen_to_end_stands_in_the_reason(
    folder: Path, value: int, told: str
) -> None:
    write_output(folder, b"abc", [(Kind.RUN_STDOUT, 0, 1), (Kind.EXIT, 3, value)])
    final = await final_status(RUNNING, folder)
    assert lost(final)
    assert told in final.reason


async def test_a_newer_version_is_no_reason_to_call_a_job_lost(folder: Path) -> None:
    (folder / "ended").write_text(versioned({}, version=2))
    with pytest.raises(BadState, match="version 2"):
        await final_status(RUNNING, folder)
