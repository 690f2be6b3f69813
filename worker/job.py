"""The handle of a job: the same for a Registry in this process and for a Client of a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from worker.state import Chunk, JobStatus


class Jobs(Protocol):
    """Where jobs live: `Registry` or `Client`."""

    async def status(self, job_id: UUID) -> JobStatus: ...

    def output(self, job_id: UUID, **options: Any) -> AsyncGenerator[Chunk, None]: ...

    async def wait(self, job_id: UUID, timeout: float | None = None) -> JobStatus: ...

    async def stop(self, job_id: UUID, *, grace_period: float | None = None) -> None: ...

    async def signal(self, job_id: UUID, name: str, *, leader_only: bool = False) -> None: ...

    async def send_input(
        self, job_id: UUID, chunks: AsyncIterable[bytes], *, end: bool = True
    ) -> int: ...

    async def remove(self, job_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    id: UUID
    jobs: Jobs

    async def status(self) -> JobStatus:
        """The job at this moment. Raises JobNotFound once it has been removed."""
        return await self.jobs.status(self.id)

    def output(self, **options: Any) -> AsyncGenerator[Chunk, None]:
        """Every byte, live; ends when the job has ended and all is read.

        `options` are the fields of Selection: `offset`, `stream`, `tail_bytes`, `tail_lines`;
        without `follow` it ends where the output ends now; `tagged` chunks tell their stream and
        time. Who leaves it early closes it: `aclosing`. Raises OutOfRange for an offset beyond
        the output of a final job, Incomplete where the output breaks off, DataLost where
        it is gone from the disk, InvalidRequest.
        """
        return self.jobs.output(self.id, **options)

    async def lines(self, **options: Any) -> AsyncGenerator[bytes, None]:
        """The same as lines, without their newlines; the last one may be unfinished.

        Of one `stream`, or of both as they came: there a line may be made of two halves.
        """
        begun: list[bytes] = []
        async with aclosing(self.output(**options)) as chunks:
            async for chunk in chunks:
                end, *following = chunk.data.split(b"\n")
                begun.append(end)
                for start in following:
                    yield b"".join(begun)
                    begun = [start]
        if rest := b"".join(begun):
            yield rest

    async def wait(self, timeout: float | None = None) -> JobStatus:
        """The status once the job is final, or after `timeout` seconds, whichever comes first."""
        return await self.jobs.wait(self.id, timeout)

    async def stop(self, *, grace_period: float | None = None) -> None:
        """Ask the whole tree to end; return when that is recorded, not when it is done.

        SIGTERM now, SIGKILL after `grace_period` seconds (0: at once; None: what the job was
        started with). A job that has ended is left alone. A second stop may only shorten.
        """
        await self.jobs.stop(self.id, grace_period=grace_period)

    async def signal(self, name: str, *, leader_only: bool = False) -> None:
        """Send "SIGHUP" (or "HUP", "1", "RTMIN+2") once to each process, or to the leader alone.

        Raises NotNow for a job that has ended, InvalidRequest for what is no signal.
        """
        await self.jobs.signal(self.id, name, leader_only=leader_only)

    async def pause(self) -> None:
        """SIGSTOP to all; `status.paused` says so. A stop ends a paused job, too."""
        await self.signal("SIGSTOP")

    async def resume(self) -> None:
        """SIGCONT to all."""
        await self.signal("SIGCONT")

    async def send_input(self, data: bytes | AsyncIterable[bytes], *, end: bool = True) -> int:
        """Write to the stdin of a job that was started with `input`, behind what was sent before.

        Returns when all is in its pipe: the number of bytes it was ever sent. A slow reader is
        waited for; over a connection that breaks nothing is lost or doubled. One sender at a time.
        `end`: nothing follows, the job reads end of file. Raises NotNow where stdin is closed or
        another sender has taken over, and whatever `data` raises: then the job reads no end.
        """
        if not isinstance(data, bytes | bytearray | memoryview | AsyncIterable):
            raise TypeError(f"stdin takes bytes, not {type(data).__name__}")
        chunks = data if isinstance(data, AsyncIterable) else _once(bytes(data))
        return await self.jobs.send_input(self.id, chunks, end=end)

    async def remove(self) -> None:
        """Forget a job that has ended, with its output. Raises NotNow while it runs.

        Its id isn't free again: to start something else under it is JobExists.
        """
        await self.jobs.remove(self.id)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
