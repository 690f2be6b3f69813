"""What is true of jobs, though a disk that is full or broken has kept it out of their rows.

It is told all the same, and recorded as soon as that can be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

from worker.errors import InternalError, NoRoom
from worker.state import JobStatus

Save = Callable[[JobStatus, int], bool]


class Unrecorded:
    """The latest status of each, with the bytes of its files."""

    def __init__(self) -> None:
        self._kept: dict[UUID, tuple[JobStatus, int]] = {}

    def __iter__(self) -> Iterator[JobStatus]:
        return (status for status, _ in self._kept.values())

    def keep(self, status: JobStatus, size: int) -> None:
        self._kept[status.id] = status, size

    def drop(self, job_id: UUID) -> None:
        """Of one that isn't here, too."""
        self._kept.pop(job_id, None)

    def record(self, save: Save) -> list[UUID]:
        """Jobs that are final in their rows now.

        One that no row takes any more is dropped. The first that can't be saved ends the round,
        as the others, of which there may be many, can hardly be; another begins the next one.
        """
        final = []
        for status, size in list(self._kept.values()):
            self.drop(status.id)
            try:
                if save(status, size) and status.is_final:
                    final.append(status.id)
            except (NoRoom, InternalError):
                self.keep(status, size)
                break
        return final
