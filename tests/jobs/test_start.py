"""What may be asked for, and what is answered when it cannot be done."""

import asyncio
import os
import shutil
import threading
from asyncio import TaskGroup
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.jobs.scripts import read
from worker import Registry
from worker.errors import CannotExecute, InternalError, InvalidRequest, JobExists, JobNotFound
from worker.jobs.environment import User
from worker.spec import JobSpec

MANY = 40  # more than there are threads
AT_ONCE = 6


async def test_an_unknown_job_is_not_found(registry: Registry) -> None:
    nobody = uuid4()
    for ask in (registry.status(nobody), registry.wait(nobody), registry.stop(nobody)):
        with pytest.raises(JobNotFound, match=str(nobody)):
            await ask
    with pytest.raises(JobNotFound):
        await read(registry.output(nobody))


async def test_a_bad_number_is_named(registry: Registry) -> None:
    job = await registry.start("true")
    with pytest.raises(InvalidRequest, match="offset"):
        await read(job.output(offset=-1))
    with pytest.raises(InvalidRequest, match="gracePeriod"):
        await job.stop(grace_period=-1)


async def test_the_same_id_and_request_is_the_same_job(registry: Registry, tmp_path: Path) -> None:
    job_id = uuid4()
    spec = JobSpec("sh", ("-c", f"echo x >> {tmp_path}/once; exit 3"))
    async with TaskGroup() as group:
        starts = [group.create_task(registry.submit(spec, job_id=job_id)) for _ in range(5)]
    assert {start.result().id for start in starts} == {job_id}
    assert (await registry.wait(job_id)).exit_code == 3
    assert (await registry.submit(spec, job_id=job_id)).id == job_id
    assert (tmp_path / "once").read_text() == "x\n"
    with pytest.raises(JobExists):
        await registry.submit(JobSpec("true"), job_id=job_id)
    with pytest.raises(JobExists):
        await registry.submit(spec, job_id=job_id, owner="eve")


def make_executable(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def missing(folder: Path) -> JobSpec:
    return JobSpec(str(folder / "x"))


def not_in_path(folder: Path) -> JobSpec:
    return JobSpec("no-such-program", environment={"PATH": str(folder)})


def a_directory(folder: Path) -> JobSpec:
    return JobSpec(str(folder))


def not_executable(folder: Path) -> JobSpec:
    return JobSpec(str(make_executable(folder / "x", "#!/bin/sh\n", 0o644)))


def without_first_line(folder: Path) -> JobSpec:
    return JobSpec(str(make_executable(folder / "x", "echo\n")))


def bad_interpreter(folder: Path) -> JobSpec:
    return JobSpec(str(make_executable(folder / "x", "#!/no/interpreter\n")))


def no_directory(folder: Path) -> JobSpec:
    return JobSpec("true", working_directory=str(folder / "nowhere"))


@pytest.mark.parametrize(
    ("spec_of", "named"),
    [
        pytest.param(missing, "{}/x: ", id="not found"),
        pytest.param(not_in_path, "no-such-program: .*{}", id="not in PATH, which is told"),
        pytest.param(a_directory, "{}: .*directory", id="a directory"),
        pytest.param(not_executable, "{}/x: ", id="mode 644"),
        pytest.param(without_first_line, "{}/x: ", id="no interpreter line"),
        pytest.param(bad_interpreter, "/no/interpreter", id="its interpreter is missing"),
        pytest.param(no_directory, "{}/nowhere: ", id="no working directory"),
    ],
)
async def test_what_cannot_be_executed_is_named_and_is_no_job(
    registry: Registry, state: Path, tmp_path: Path, spec_of: Callable[[Path], JobSpec], named: str
) -> None:
    folder, job_id = tmp_path / "programs", uuid4()
    folder.mkdir()
    with pytest.raises(CannotExecute, match=named.format(folder)):
        await registry.submit(spec_of(folder), job_id=job_id)
    with pytest.raises(JobNotFound):
        await registry.status(job_id)
    assert list((state / "jobs").iterdir()) == []
    assert (await registry.submit(JobSpec("true"), job_id=job_id)).id == job_id


async def test_a_state_directory_that_was_moved_away_is_named_and_can_be_put_back(
    registry: Registry, state: Path, tmp_path: Path
) -> None:
    shutil.move(state, tmp_path / "elsewhere")
    with pytest.raises(InternalError, match=f"state directory {state} was moved.*put it back"):
        await registry.start("true")
    shutil.move(tmp_path / "elsewhere", state)
    assert (await (await registry.start("true")).wait()).exit_code == 0


async def test_a_job_sees_a_clean_environment(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the program")
    job = await registry.start("env", environment={"GREETING": "hello"})
    lines = (await read(job.output())).decode().split()
    names = {line.partition("=")[0] for line in lines}
    assert names == {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "WORKER_JOB_ID", "GREETING")
    }
    assert f"WORKER_JOB_ID={job.id}" in lines


async def test_arguments_are_passed_byte_by_byte(registry: Registry) -> None:
    raw = ["", " ", "--", "-x", "a\nb", "ä€🙂", os.fsdecode(b"\xff\xfe")]
    job = await registry.start("printf", "[%s]", *raw)
    assert await read(job.output()) == b"".join(b"[%s]" % os.fsencode(word) for word in raw)


async def test_a_home_that_does_not_answer_holds_up_nobody_else(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS; no file of this machine can be like that."""
    other = await registry.start("cat", input=True)
    answers, asked = threading.Event(), threading.Semaphore(AT_ONCE - 1)
    loop, all_wait = asyncio.get_running_loop(), asyncio.Event()

    def directory(*_: object) -> str:
        if not asked.acquire(blocking=False):
            loop.call_soon_threadsafe(all_wait.set)
        return "/" if answers.wait(10) else "late"

    monkeypatch.setattr(User, "directory", directory)
    async with TaskGroup() as group:
        starting = [group.create_task(registry.start("pwd")) for _ in range(MANY)]
        await all_wait.wait()
        await other.send_input(b"")
        await other.wait()
        assert not any(start.done() for start in starting)
        answers.set()
    for start in starting:
        assert await read(start.result().output()) == b"/\n"
