"""A retry is told from another job by its digest."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from worker.errors import InvalidRequest
from worker.jobs.environment import User
from worker.jobs.request import enforced_in, spawn_of
from worker.keeper.messages import Spawn
from worker.limits import Limits
from worker.spec import JobSpec, OutputMode

JOB = UUID(int=1)
SPEC = JobSpec("ls", ("-l",), environment={"A": "1", "B": "2"}, labels={"x": "1", "y": "2"})


ALICE_HERE = User("u", "/", "/bin/sh", "/bin")


def request(spec: JobSpec, owner: str = "alice", user: User = ALICE_HERE, **limits: int) -> Spawn:
    """`limits`: the service's own."""
    return spawn_of(spec, JOB, owner, user, Limits(**limits))


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(request(SPEC), id="sent again, later"),
        pytest.param(
            request(replace(SPEC, environment={"B": "2", "A": "1"}, labels={"y": "2", "x": "1"})),
            id="maps have no order",
        ),
        pytest.param(request(replace(SPEC, grace_period=10)), id="10 is 10.0"),
        pytest.param(request(SPEC, output=5000, nice=3), id="limits of ours"),
        pytest.param(request(replace(SPEC, stop_signal="15")), id="15 is SIGTERM"),
        pytest.param(
            request(SPEC, user=User("v", "/home", "/bin/bash", "/bin", 7, 7)), id="another jobUser"
        ),
    ],
)
def test_equal_requests_are_one_job(again: Spawn) -> None:
    assert again.digest == request(SPEC).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "lt"},
        {"arguments": ("-l", "")},
        {"arguments": ("-", "l")},
        {"environment": {"A": "1"}},
        {"working_directory": "/tmp"},
        {"output_mode": OutputMode.MERGED},
        {"grace_period": 9.5},
        {"labels": {}},
        {"user": "nobody"},
        {"input": True},
        {"stop_signal": "INT"},
        {"limits": Limits(time=5)},
        {"limits": Limits(output=10_000)},
    ],
    ids=str,
)
def test_any_other_field_is_another_job(changes: dict[str, Any]) -> None:
    assert request(replace(SPEC, **changes)).digest != request(SPEC).digest


def test_another_owner_is_another_job() -> None:
    assert request(SPEC, owner="bob").digest != request(SPEC).digest


def test_arguments_need_not_be_text() -> None:
    raw = b"\xff\xfe".decode(errors="surrogateescape")
    assert request(JobSpec("ls", (raw,))).digest != request(JobSpec("ls", ("",))).digest


def test_a_request_that_no_frame_can_carry_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="2 MiB"):
        request(JobSpec("ls", ("x" * 120_000,) * 20))


def test_what_was_recorded_may_be_less_than_can_be_asked_for_today() -> None:
    (cap,) = enforced_in(replace(request(SPEC), output_cap=100))
    assert (cap.name, cap.value) == ("output", 100)
