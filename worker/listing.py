"""Which jobs to list, and a page of them: for library, server and client alike."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from worker.errors import InvalidRequest, JobNotFound
from worker.spec import text
from worker.state import JobState, JobStatus

MOST_ON_A_PAGE: Final = 1000
ON_A_PAGE: Final = 100
_PREFIX: Final = re.compile(r"[0-9a-f]{0,32}")
_GROUPS: Final = (8, 12, 16, 20)  # where a UUID has its dashes
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """All that is given must fit: one of `states`, each of `labels`, the `owner`.

    `id_prefix`: the first digits of an id, dashes optional. Raises InvalidRequest.
    """

    states: frozenset[JobState] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    id_prefix: str = ""

    def __post_init__(self) -> None:
        for name, value in self.labels.items():
            text("a name in labels", name)
            text(f"labels[{name!r}]", value)
        text("owner", self.owner)
        digits = text("idPrefix", self.id_prefix).lower().replace("-", "")
        if not _PREFIX.fullmatch(digits):
            raise InvalidRequest(f"idPrefix: {self.id_prefix!r} can't begin a job id")
        places = [at for at in _GROUPS if at < len(digits)]
        parts = [digits[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
        object.__setattr__(self, "id_prefix", "-".join(parts))


ALL_JOBS: Final = JobFilter()


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next_token` asks for what follows; empty: nothing does.

    A page may be short, or even empty, and yet have a next one: a server looks at a bounded
    number of jobs for each.
    """

    jobs: tuple[JobStatus, ...]
    next_token: str


class Pages(Protocol):
    """Who can list: `Registry` or `Client`."""

    async def page(self, which: JobFilter, *, limit: int, token: str) -> Page: ...


async def all_pages(jobs: Pages, which: JobFilter) -> AsyncGenerator[JobStatus, None]:
    token = ""
    while True:
        page = await jobs.page(which, limit=ON_A_PAGE, token=token)
        for status in page.jobs:
            yield status
        if not page.next_token:
            return
        token = page.next_token


async def only_one(jobs: Pages, id_prefix: str) -> UUID:
    """The id of the one job that begins like that. Raises JobNotFound; InvalidRequest for several.

    A whole id is taken as it is: whether there is such a job shows when it is used.
    """
    which = JobFilter(id_prefix=id_prefix)
    if len(which.id_prefix) == len(str(UUID(int=0))):
        return UUID(which.id_prefix)
    if not which.id_prefix:
        raise InvalidRequest("an empty job id names no job")
    found: list[UUID] = []
    async with aclosing(all_pages(jobs, which)) as several:
        async for status in several:
            found.append(status.id)
            if len(found) > _NAMED:
                break
    if not found:
        raise JobNotFound(f"no job's id begins with {id_prefix}")
    if len(found) > 1:
        some = ", ".join(map(str, found[:_NAMED])) + (", ..." if len(found) > _NAMED else "")
        raise InvalidRequest(f"the ids of several jobs begin with {id_prefix}: {some}")
    return found[0]
