"""A limit that nothing can keep is refused where it enters, and the field is named."""

from math import inf, nan
from typing import Any

import pytest

from worker.errors import InvalidRequest
from worker.limits import MAX_COUNT, MAX_CPUS, MAX_PROCESSES, MAX_TIME, Limits


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"time": 0}, "limits.time must be more than 0, and 315360000 at most"),
        ({"time": nan}, "limits.time must be more than 0"),
        ({"time": inf}, "limits.time must be more than 0"),
        ({"cpus": 2 * MAX_CPUS}, "limits.cpus must be more than 0, and 100000000 at most"),
        ({"memory": 10**400}, f"limits.memory must be 1 to {MAX_COUNT}"),
        ({"processes": MAX_PROCESSES + 1}, "limits.processes must be 1 to 4194304"),
        ({"output": 4095}, f"limits.output must be 4096 to {MAX_COUNT}"),
        ({"open_files": 0}, f"limits.openFiles must be 1 to {MAX_COUNT}"),
        ({"nice": 20}, "limits.nice must be -20 to 19"),
        ({"memory": 1.5}, "limits.memory must be a number, not float"),
    ],
)
def test_a_limit_that_nothing_can_keep_is_refused(limit: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{said}"):
        Limits(**limit)


def test_the_ends_of_a_range_are_taken() -> None:
    Limits(time=MAX_TIME, memory=MAX_COUNT, cpus=MAX_CPUS, processes=MAX_PROCESSES, nice=-20)
    Limits(time=0.001, memory=1, cpus=0.001, processes=1, output=4096, core=0, nice=19)
