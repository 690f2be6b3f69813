"""The table says what it was told, across a kill -9, and never more than it knows."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.jobs.folders import ENDED, request_of
from worker.errors import BadState, InternalError, JobNotFound, NoRoom
from worker.jobs.clock import utc
from worker.jobs.ending import ended_status
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.state import FINAL, NEXT, JobState

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def row_of(job_id: UUID | None = None) -> Row:
    return Row.of(request_of(job_id), "epoch")


def in_state(store: Store, state: JobState) -> Row:
    row = row_of()
    store.add(row)
    if state is not JobState.STARTED:
        store.save(replace(row.status, state=state))
    return row


def test_a_row_comes_back_as_it_was_added(store: Store) -> None:
    (row,) = store.add(row_of())
    assert store.find(row.status.id) == row
    assert store.unfinished() == [row]
    stranger = str(uuid4())
    assert store.without_row([row.request.job, stranger]) == [stranger]
    assert row.status.created_at == utc(row.request.created_us)


def test_an_end_comes_back_to_the_microsecond(store: Store) -> None:
    row = row_of()
    store.add(row)
    record = replace(ENDED, code=None, signal=15, cause="stop", stopped_by="bob", stdout=3)
    status = ended_status(row.status, record)
    store.save(status)
    found = store.find(row.status.id)
    assert found.status == status
    assert store.unfinished() == []


@pytest.mark.parametrize("after", list(JobState), ids=str)
@pytest.mark.parametrize("before", list(JobState), ids=str)
def test_only_the_steps_of_the_table_are_taken(
    store: Store, before: JobState, after: JobState
) -> None:
    row = in_state(store, before)
    step = replace(row.status, state=after)
    is_step = after in NEXT[before] or after is before is JobState.RUNNING  # paused, say
    if is_step:
        store.save(step)
    else:
        with pytest.raises(InternalError):
            store.save(step)
    found = store.find(row.status.id)
    assert found.status.state is (after if is_step else before)


def test_what_is_not_final_is_unfinished(store: Store) -> None:
    rows = {state: in_state(store, state).status.id for state in JobState}
    unfinished = {row.status.id for row in store.unfinished()}
    assert unfinished == {rows[state] for state in JobState if state not in FINAL}


def test_a_job_that_was_never_started_is_forgotten(store: Store) -> None:
    row = row_of()
    store.add(row)
    store.bury([(row.status.id, "")], has_run=False)
    with pytest.raises(JobNotFound):
        store.find(row.status.id)


def test_an_id_is_given_once(store: Store) -> None:
    row = row_of()
    store.add(row)
    with pytest.raises(InternalError):
        store.add(row)


def test_text_that_is_not_utf8_is_kept(store: Store) -> None:
    row = Row.of(replace(request_of(), arguments=["\udcff"], owner="\udcfe"), "epoch")
    store.add(row)
    store.save(replace(row.status, state=JobState.LOST, reason="/tmp/\udcff"))
    found = store.find(row.status.id)
    assert found.request == row.request
    assert found.status.reason == "/tmp/\\udcff"


def test_the_files_are_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(path)
        store.add(row_of())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("jobs.db", "jobs.db-wal", "jobs.db-shm"), 0o600)


def test_a_kill_loses_no_row(path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from tests.jobs.folders import request_of
from worker.jobs.row import Row
from worker.jobs.store import Store
store = Store(Path(sys.argv[1]))
for number in range(100):
    store.add(Row.of(request_of(UUID(int=number)), "epoch"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, check=False)
    store = Store(path)
    assert store.without_row([str(UUID(int=number)) for number in range(101)]) == [
        str(UUID(int=100))
    ]
    store.close()


def test_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 5")
    database.close()
    before = path.read_bytes()
    with pytest.raises(BadState, match=r"jobs\.db is of version 5"):
        Store(path)
    assert path.read_bytes() == before


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000:] = b"\xa5" * (len(content) - 5000)
    path.write_bytes(content)


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()


@pytest.mark.parametrize("spoil", [garbage, cut_short, overwritten, of_another_program])
def test_a_file_that_is_not_ours_is_kept_beside_a_new_one(
    path: Path, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    store = Store(path)
    rows = [row_of() for _ in range(50)]
    store.add(*rows)
    store.close()
    assert callable(spoil)
    spoil(path)
    spoilt = path.read_bytes()
    store = Store(path)
    ids = [row.request.job for row in rows]
    assert store.without_row(ids) == ids
    store.close()
    [kept] = path.parent.glob("jobs.db.broken-*")
    assert kept.read_bytes() == spoilt
    assert kept.name in caplog.text


def test_a_file_that_cannot_be_opened_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(BadState, match=str(path)):
        Store(path)


def test_a_full_disk_is_no_room_and_leaves_nothing(path: Path) -> None:
    store = Store(path)
    (pages,) = store._database.execute("PRAGMA page_count").fetchone()
    store._database.execute(f"PRAGMA max_page_count = {pages}")  # what a full disk answers
    request = request_of(uuid4())
    row = Row.of(replace(request, arguments=["x" * 100_000]), "epoch")
    with pytest.raises(NoRoom):
        store.add(row)
    with pytest.raises(JobNotFound):
        store.find(row.status.id)
    store.close()


def test_what_a_full_disk_kept_out_is_recorded_once_there_is_room(path: Path) -> None:
    store = Store(path)
    (row,) = store.add(row_of())
    (pages,) = store._database.execute("PRAGMA page_count").fetchone()
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    end = replace(row.status, state=JobState.EXITED, reason="x" * 100_000)
    assert not store.record(replace(end, id=uuid4()))  # its row is gone
    assert not store.record(end, size=7)
    assert store.record_rest() == []
    assert list(store.unrecorded) == [end]
    store._database.execute(f"PRAGMA max_page_count = {pages + 100}")
    assert store.record_rest() == [row.status.id]
    assert store.find(row.status.id).status == end
    assert (store.total.jobs, store.total.size, [*store.unrecorded]) == (1, 7, [])
    store.close()


@pytest.mark.parametrize("refusing", ["max_page_count = 1", "query_only = ON"])
def test_of_many_ends_that_can_not_be_recorded_one_is_tried_again(
    store: Store, refusing: str
) -> None:
    ends = [
        replace(row.status, state=JobState.EXITED, reason="x" * 100_000)
        for row in store.add(row_of(), row_of())
    ]
    store._database.execute(f"PRAGMA {refusing}")
    assert not any(store.record(end) for end in ends)
    done: list[str] = []
    store._database.set_trace_callback(done.append)
    assert store.record_rest() == []
    assert len(done) == 1
    assert list(store.unrecorded) == [ends[1], ends[0]]  # another is the first of the next round
