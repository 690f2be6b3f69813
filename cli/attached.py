"""A job in the foreground: what ends us ends the job.

Ctrl-C, SIGTERM (`timeout 5 workerclient run ...`) and SIGHUP (the terminal is closed) stop it,
the second one kills it, the third one leaves it. Output that nobody takes stops it, too. A client
that is killed or loses the connection leaves it running: `workerclient ls` shows it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from uuid import UUID

from cli.asked import Asked
from cli.descriptors import STDOUT, CannotWrite, ReaderGone, reader_watched
from cli.flow import Flow
from cli.lines import Lines, Look
from cli.output import copy
from cli.stdin import pieces_of_stdin
from cli.together import together
from worker.errors import NotNow, WorkerError
from worker.job import Job
from worker.state import JobStatus


async def started(starting: Awaitable[Job], job_id: UUID, asked: Asked, flow: Flow) -> Job:
    """Who is asked to end meanwhile must know the job first: it may be starting already."""
    async with together() as tasks:
        telling = tasks.create_task(_tell_ending(job_id, asked, flow))
        job = await starting
        telling.cancel()
    return job


async def _tell_ending(job_id: UUID, asked: Asked, flow: Flow) -> None:
    await asked.once.wait()
    await flow.say(f"job {job_id} is stopped once it is started; the third time leaves it")


async def attached(job: Job, asked: Asked, look: Look, flow: Flow, *, has_input: bool) -> JobStatus:
    """The final status."""
    try:
        async with together() as tasks:
            aside = [tasks.create_task(_ends(job, asked, flow))]
            if has_input:
                aside.append(tasks.create_task(_fed(job, flow)))
            try:
                async with reader_watched(STDOUT):
                    await copy(job.output(tagged=True), Lines(job.id, look), flow)
                return await job.wait()
            except (ReaderGone, CannotWrite) as error:  # a local program would have ended, too
                why = "nobody reads" if isinstance(error, ReaderGone) else "nothing takes"
                await flow.say(f"stopping job {job.id}: {why} its output any more")
                await _stopped(job, None, flow)
                raise
            finally:
                for each in aside:
                    each.cancel()
    except (ReaderGone, CannotWrite):
        raise
    except Exception:
        await flow.say(f"job {job.id} may still run: workerclient logs {job.id}")
        raise


async def _ends(job: Job, asked: Asked, flow: Flow) -> None:
    """Nothing here waits for an answer or a reader before the next signal is heard."""
    await asked.once.wait()
    async with together() as tasks:
        tasks.create_task(flow.say(f"stopping job {job.id}; once more kills it"))
        stopping = tasks.create_task(_stopped(job, None, flow))
        await asked.twice.wait()
        stopping.cancel()
        tasks.create_task(flow.say(f"killing job {job.id}; once more leaves it"))
        tasks.create_task(_stopped(job, 0, flow))


async def _stopped(job: Job, grace_period: float | None, flow: Flow) -> None:
    try:
        await job.stop(grace_period=grace_period)
    except WorkerError as error:
        await flow.say(f"job {job.id} may still run: workerclient stop {job.id}: {error}")


async def _fed(job: Job, flow: Flow) -> None:
    try:
        await job.send_input(pieces_of_stdin())
    except NotNow:
        pass  # the job has ended, or has closed its stdin: its own affair
    except WorkerError as error:
        await flow.say(f"stdin: {error}")
