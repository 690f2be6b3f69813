"""As root a job can leave its cgroup. Its leader can't leave our pidfd."""

import os
from pathlib import Path

import pytest

from tests.keeper.driver import Driver
from worker.keeper.cgroup import folder_for


@pytest.mark.parametrize("grace_s", [10.0, 0.0], ids=["SIGTERM", "SIGKILL"])
def test_a_leader_that_left_its_cgroup_is_stopped_all_the_same(
    driver: Driver, grace_s: float
) -> None:
    folder = folder_for(driver.state)
    if os.geteuid() != 0 or folder is None:
        pytest.skip("only root can leave a cgroup, and there must be one")
    out: Path = folder.parent / "cgroup.procs"
    job = driver.spawn("sh", "-c", f"echo $$ > {out}; echo up; while :; do sleep 98727; done")
    driver.wait_output(job, b"up\n")
    driver.stop(job, grace_s)
    assert driver.ended(job)["signal"] == (15 if grace_s else 9)
    for line in Path("/proc").glob("[1-9]*/cmdline"):
        try:
            if line.read_bytes() == b"sleep\x0098727\0":  # what it moved out with it isn't ours
                os.kill(int(line.parent.name), 9)
        except OSError:
            continue
