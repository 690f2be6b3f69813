"""Whatever a directory holds when it is opened: each job has one true state, and none stops us."""

import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.jobs.folders import (
    ENDED,
    request_of,
    versioned,
    write_ended,
    write_output,
    write_request,
)
from tests.jobs.scripts import read, shell
from worker import Registry
from worker.errors import BadState, JobExists
from worker.jobs import folder, row
from worker.jobs.clock import utc
from worker.jobs.folder import read_request
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.keeper.messages import Spawn
from worker.keeper.records import Kind
from worker.spec import JobSpec
from worker.state import JobState, JobStatus, OutputSize


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir(mode=0o700)
    return tmp_path


def left(state: Path, *, ended: bool = True, output: bytes = b"abc") -> UUID:
    """A folder without a row."""
    job_id = uuid4()
    folder = state / "jobs" / str(job_id)
    write_request(folder, request_of(job_id))
    write_output(folder, output, [(Kind.RUN_STDOUT, 0, 1)])
    if ended:
        write_ended(folder, stdout=len(output))
    return job_id


def remove_table(state: Path) -> None:
    for file in state.glob("jobs.db*"):
        file.unlink()


def was_kept(state: Path) -> bool:
    return any(state.glob("jobs.db.broken-*"))


async def opened(state: Path, job_id: UUID) -> tuple[JobStatus, bytes]:
    async with Registry(state) as registry:
        return await registry.status(job_id), await read(registry.output(job_id))


async def test_a_folder_without_a_row_is_adopted(state: Path) -> None:
    job_id = left(state)
    request = request_of(job_id)
    status, output = await opened(state, job_id)
    assert (status.command, status.arguments) == (request.command, tuple(request.arguments))
    assert (status.owner, status.labels) == (request.owner, request.labels)
    assert (status.state, status.exit_code) == (JobState.EXITED, 0)
    assert status.created_at == utc(request.created_us)
    assert status.ended_at == utc(ENDED.ended_us)
    assert output == b"abc"


async def test_a_folder_that_nobody_ended_is_lost_with_its_output(state: Path) -> None:
    job_id = left(state, ended=False)
    status, output = await opened(state, job_id)
    assert (status.state, status.exit_code) == (JobState.LOST, None)
    assert status.output == OutputSize(stdout=3)
    assert output == b"abc"


async def test_of_a_lost_job_what_a_power_cut_left_is_all_there_is(state: Path) -> None:
    job_id = left(state, ended=False)
    runs = [(Kind.RUN_STDOUT, 0, 1), (Kind.RUN_STDERR, 2, 1), (Kind.RUN_STDOUT, 7, 1)]
    write_output(state / "jobs" / str(job_id), b"abc", [*runs, (Kind.RUN_STDERR, 9, 1)])
    status, output = await opened(state, job_id)
    assert status.output == OutputSize(stdout=2, stderr=1)
    assert output == b"abc"


async def test_the_table_is_rebuilt_from_the_folders(state: Path) -> None:
    job_id, spec = uuid4(), JobSpec("sh", ("-c", "echo hello; exit 3"), labels={"a": "b"})
    async with Registry(state) as registry:
        await registry.submit(spec, job_id=job_id, owner="alice")
        before = await registry.wait(job_id)
    remove_table(state)
    async with Registry(state) as registry:
        after = await registry.status(job_id)
        assert replace(after, revision=before.revision) == before
        assert after.revision > before.revision  # who watches begins again
        assert (await registry.submit(spec, job_id=job_id, owner="alice")).id == job_id
        with pytest.raises(JobExists):
            await registry.submit(spec, job_id=job_id, owner="eve")


async def test_a_torn_table_is_kept_and_rebuilt(state: Path) -> None:
    job_id = left(state)
    (state / "jobs.db").write_bytes(b"torn" * 1000)
    status, _ = await opened(state, job_id)
    assert status.state is JobState.EXITED
    assert was_kept(state)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        pytest.param("request", "", id="request empty"),
        pytest.param("request", versioned({"command": "x"}), id="request without its fields"),
        pytest.param(
            "request",
            versioned(asdict(replace(request_of(), created_us=10**20))),
            id="request of a time that no calendar knows",
        ),
        pytest.param("ended", '{"version":1,"con', id="ended cut short"),
        pytest.param("ended", "\0" * 4096, id="ended all zeros"),
    ],
)
async def test_a_torn_file_costs_one_line_and_that_job(
    state: Path, caplog: pytest.LogCaptureFixture, file: str, content: str
) -> None:
    torn, sound = left(state), left(state)
    (state / "jobs" / str(torn) / file).write_text(content)
    async with Registry(state) as registry:
        statuses = [await registry.status(job_id) for job_id in (torn, sound)]
        assert await read(registry.output(torn)) == b"abc"
        assert (await (await shell(registry, "exit 4")).wait()).exit_code == 4
    assert statuses[1].state is JobState.EXITED
    if file == "ended":
        assert statuses[0].state is JobState.LOST
    assert len([record for record in caplog.records if str(torn) in record.getMessage()]) == 1


async def test_a_request_of_another_job_is_not_believed(state: Path) -> None:
    job_id = left(state)
    write_request(state / "jobs" / str(job_id), request_of())
    status, _ = await opened(state, job_id)
    assert (status.id, status.command) == (job_id, "")


@dataclass(frozen=True, slots=True)
class Later(Spawn):
    """As a later version may have it."""

    priority: "int" = 5


async def test_a_later_version_reads_what_this_one_wrote(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = left(state)
    await opened(state, job_id)
    for module in (folder, row):
        monkeypatch.setattr(module, "Spawn", Later)
    assert read_request(state / "jobs" / str(job_id)) == Later(**asdict(request_of(job_id)))
    status, _ = await opened(state, job_id)
    assert (status.state, status.command) == (JobState.EXITED, request_of().command)


@pytest.mark.parametrize("file", ["request", "ended"])
async def test_a_file_of_a_newer_version_is_refused_and_left_alone(state: Path, file: str) -> None:
    job_id = left(state)
    path = state / "jobs" / str(job_id) / file
    path.write_text(versioned({}, version=2))
    with pytest.raises(BadState, match=str(path)):
        await opened(state, job_id)
    assert path.read_text() == versioned({}, version=2)


async def test_what_is_no_job_is_left_alone(state: Path) -> None:
    strangers = [state / "jobs" / name for name in ("README", "mine.removed", "UPPER")]
    for stranger in strangers:
        stranger.mkdir()
    async with Registry(state) as registry:
        await registry.start("true")
    assert all(stranger.exists() for stranger in strangers)


@pytest.mark.parametrize("has_folder", [True, False], ids=["folder", "no folder"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param("request = '{}'", id="request without its fields"),
        pytest.param("request = 'x'", id="request no JSON"),
        pytest.param("state = 'asleep'", id="a state of no job"),
        pytest.param("started_us = 1000000000000000000", id="a time that no calendar knows"),
    ],
)
async def test_a_row_that_cannot_be_read_is_taken_from_its_folder_or_else_lost(
    state: Path, caplog: pytest.LogCaptureFixture, change: str, *, has_folder: bool
) -> None:
    job_id = left(state) if has_folder else uuid4()
    store = Store(state / "jobs.db")
    store.add(Row.of(request_of(job_id), "epoch"))
    store.close()
    with closing(sqlite3.connect(state / "jobs.db")) as table, table:
        table.execute(f"UPDATE jobs SET {change}")
    status, output = await opened(state, job_id)
    assert status.state is (JobState.EXITED if has_folder else JobState.LOST)
    assert output == (b"abc" if has_folder else b"")
    assert len([record for record in caplog.records if str(job_id) in record.getMessage()]) == 1


async def test_a_file_in_place_of_a_folder_costs_that_job_alone(state: Path) -> None:
    job_id, sound = uuid4(), left(state)
    (state / "jobs" / str(job_id)).write_text("not a folder")
    async with Registry(state) as registry:
        assert (await registry.status(job_id)).state is JobState.LOST
        assert await read(registry.output(job_id)) == b""
        assert (await registry.status(sound)).state is JobState.EXITED


async def test_what_was_never_started_is_lost_and_does_not_start_later(state: Path) -> None:
    row = Row.of(request_of(), "another keeper")
    store = Store(state / "jobs.db")
    store.add(row)
    store.close()
    status, output = await opened(state, row.status.id)
    assert (status.state, output) == (JobState.LOST, b"")
    assert "never started" in status.reason


async def test_a_final_row_stands_whatever_the_folder_says(state: Path) -> None:
    async with Registry(state) as registry:
        job = await shell(registry, "exit 3")
        status = await job.wait()
    write_ended(state / "jobs" / str(job.id), replace(ENDED, code=0))
    assert (await opened(state, job.id))[0] == status


async def test_a_job_is_not_run_again(state: Path) -> None:
    async with Registry(state) as registry:
        job = await shell(registry, f"echo x >> {state}/once")
        await job.wait()
    for _ in range(3):
        async with Registry(state):
            pass
    assert (state / "once").read_text() == "x\n"
