"""Pages of jobs, newest first, and the one whose id begins like that."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from tests.jobs.folders import STARTED_US, request_of
from worker import Registry
from worker.errors import InvalidRequest, JobNotFound
from worker.jobs import listing
from worker.jobs.listing import LOOKED_AT
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.listing import JobFilter
from worker.spec import JobSpec
from worker.state import Cause, JobState, Outcome

JOB = JobSpec("true")


def ended_row(number: int, **changes: object) -> Row:
    """The higher the number, the newer."""
    request = replace(request_of(UUID(int=number << 64)), created_us=STARTED_US + number, **changes)  # type: ignore[arg-type]  # any of its fields
    row = Row.of(request, "epoch")
    status = replace(
        row.status, state=JobState.EXITED, outcome=Outcome.EXITED, exit_code=0, cause=Cause.OWN_EXIT
    )
    return replace(row, status=status)


def filled(state: Path, *rows: Row) -> None:
    state.mkdir()
    store = Store(state / "jobs.db")
    store.add(*rows)
    store.close()


async def listed(registry: Registry, **which: object) -> list[int]:
    which_jobs = JobFilter(**which)  # type: ignore[arg-type]  # any of its fields
    return [status.id.int >> 64 async for status in registry.list(which_jobs)]


async def test_the_newest_comes_first_and_each_once(state: Path) -> None:
    filled(state, *map(ended_row, range(1, 251)))
    async with Registry(state) as registry:
        assert await listed(registry) == list(range(250, 0, -1))


async def test_what_is_given_must_all_fit(state: Path) -> None:
    filled(
        state,
        ended_row(1, owner="alice", labels={"team": "red"}),
        ended_row(2, owner="bob", labels={"team": "red", "tier": "1"}),
        ended_row(3, owner="bob", labels={"team": "blue"}),
    )
    async with Registry(state) as registry:
        await registry.start("sleep", "60", labels={"team": "red"})
        assert await listed(registry, owner="bob") == [3, 2]
        assert await listed(registry, owner="bob", labels={"team": "red"}) == [2]
        assert await listed(registry, labels={"tier": "2"}) == []
        ended = frozenset({JobState.EXITED})
        assert await listed(registry, states=ended, labels={"team": "red"}) == [2, 1]
        running = JobFilter(states=frozenset({JobState.STARTED, JobState.RUNNING}))
        (status,) = [status async for status in registry.list(running)]
        assert (status.state, status.command) == (JobState.RUNNING, "sleep")


async def test_a_running_job_is_listed_with_its_output_so_far(registry: Registry) -> None:
    job = await registry.start("sh", "-c", "echo out; exec sleep 60")
    async for _ in job.output():
        break
    (status,) = [status async for status in registry.list()]
    assert status == await job.status()
    assert status.output.stdout == 4


async def test_a_page_ends_at_its_limit_and_the_token_goes_on(state: Path) -> None:
    filled(state, *map(ended_row, range(1, 6)))
    async with Registry(state) as registry:
        token, pages = "", []
        while True:
            page = await registry.page(JobFilter(), limit=2, token=token)
            pages.append([status.id.int >> 64 for status in page.jobs])
            await registry.start("true")  # newer than all: it moves no page
            token = page.next_token
            if not token:
                break
    assert [number for page in pages for number in page if number < 10] == [5, 4, 3, 2, 1]


async def test_a_page_of_long_requests_stays_small(state: Path) -> None:
    filled(state, *(ended_row(number, arguments=["x" * 100_000]) for number in range(1, 31)))
    async with Registry(state) as registry:
        page = await registry.page(JobFilter())
        assert 1 <= len(page.jobs) < 10
        assert await listed(registry) == list(range(30, 0, -1))


async def test_a_page_looks_at_a_bounded_number_of_jobs(state: Path) -> None:
    filled(state, ended_row(1, owner="bob"), *map(ended_row, range(2, LOOKED_AT + 10)))
    async with Registry(state) as registry:
        page = await registry.page(JobFilter(owner="bob"))
        assert page.jobs == ()
        assert page.next_token
        assert await listed(registry, owner="bob") == [1]


async def test_a_page_looks_at_a_bounded_number_of_bytes(state: Path) -> None:
    long = ["x" * 100_000]
    newer = (ended_row(number, arguments=long) for number in range(2, 31))
    filled(state, ended_row(1, owner="bob"), *newer)
    async with Registry(state) as registry:
        for which in (JobFilter(owner="bob"), JobFilter(states=frozenset({JobState.LOST}))):
            page = await registry.page(which)
            assert page.jobs == ()
            assert page.next_token
        assert await listed(registry, owner="bob") == [1]


@pytest.mark.parametrize(
    ("limit", "token"),
    [
        *((0, ""), (1001, ""), (1, "x"), (1, "e30="), (1, "WzEsMV0="), (1, "é")),
        (1, "WzEsIlx1ZDgwMCJd"),  # [1,"\ud800"]: no text that SQLite takes
    ],
    ids=str,
)
async def test_what_is_no_page_is_refused(registry: Registry, limit: int, token: str) -> None:
    with pytest.raises(InvalidRequest):
        await registry.page(JobFilter(), limit=limit, token=token)


@pytest.mark.parametrize("prefix", ["xyz", "-" * 33 + "g", "é", "0" * 33])
def test_a_prefix_that_begins_no_id_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidRequest, match="idPrefix"):
        JobFilter(id_prefix=prefix)


async def test_a_job_is_found_by_the_beginning_of_its_id(registry: Registry) -> None:
    first, second = (UUID("12345678-9abc-4def-8123-00000000000" + end) for end in "12")
    for job_id in (first, second):
        await registry.submit(JOB, job_id=job_id)
    await registry.submit(JOB, job_id=UUID("22345678-9abc-4def-8123-000000000001"))
    for prefix in (str(first), first.hex, "2", "22345678-9", "223456789A"):
        found = await registry.find(prefix)
        assert found.id.hex.startswith(prefix.lower().replace("-", ""))
    with pytest.raises(InvalidRequest, match=f"several.*{second}, {first}"):
        await registry.find("1234")
    with pytest.raises(JobNotFound, match="begins with 3"):
        await registry.find("3")
    with pytest.raises(InvalidRequest, match="names no job"):
        await registry.find("")


SORTED = "USE TEMP B-TREE FOR ORDER BY"


@pytest.mark.parametrize(
    ("question", "values", "plan"),
    [
        pytest.param(listing._NEWEST, 3, ["INDEX jobs_by_time"], id="newest first"),
        pytest.param(
            listing._UNFINISHED, 3, ["INDEX jobs_by_age (final_s=?)", SORTED], id="unfinished: few"
        ),
        pytest.param(
            listing._CHANGED.format(table="jobs"), 1, ["INDEX jobs_by_revision"], id="changed"
        ),
        pytest.param(
            listing._CHANGED.format(table="tombstones"),
            1,
            ["INDEX tombstones_by_revision"],
            id="removed",
        ),
    ],
)
def test_a_list_is_fast_with_many_jobs(
    state: Path, question: str, values: int, plan: list[str]
) -> None:
    """By what SQLite does, not by the clock: none walks through all rows, or sorts many."""
    filled(state, ended_row(1))
    database = sqlite3.connect(state / "jobs.db")
    steps = database.execute(f"EXPLAIN QUERY PLAN {question}", [0] * values).fetchall()
    database.close()
    assert len(steps) == len(plan), steps
    for (*_, step), expected in zip(steps, plan, strict=True):
        assert expected in step
        assert step == SORTED or step.startswith("SEARCH")
