"""What a dead keeper may have left."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.keeper.cgroup import Cgroup, folder_for


@contextmanager
def in_cgroup(state: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process where those of the jobs of `state` are."""
    folder = folder_for(state)
    if folder is None:
        pytest.skip("without cgroup v2 it is the next start that ends them")
    job = Cgroup(folder / "jobs" / "job")
    with subprocess.Popen(["sleep", "987"]) as process:
        try:
            (job.path / "cgroup.procs").write_text(str(process.pid))
            yield process
        finally:
            process.kill()
            process.wait()
            if folder.exists():
                Cgroup(folder).remove()
