"""A job in the foreground: what ends us ends the job.

Ctrl-C, SIGTERM (`timeout 5 workerclient run ...`) and SIGHUP (the terminal is closed) stop it,
the second one kills it, and what isn't written soon after its end is left out; the third one leaves
it. SIGHUP counts once in all. Output that nobody takes stops it, too. A client that is killed or
loses the connection leaves it running: `workerclient ls` shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final
from uuid import UUID

from cli.asked import Asked
from cli.descriptors import STDOUT, CannotWrite, ReaderGone, reader_watched, text_bytes
from cli.flow import Flow, say_what_fits
from cli.lines import Lines, Look
from cli.output import copy
from cli.render import as_json
from cli.stdin import CannotRead, pieces_of_stdin
from cli.together import together
from worker.errors import NotNow, WorkerError
from worker.job import Job
from worker.state import JobStatus

REST_TIME: Final = 1.0  # seconds after the end of a job that we were asked twice to end
ANSWER_TIME: Final = 1.0  # seconds, for how a job is: then it may be running


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
    """The final status, which is the last line of JSON."""
    lines, ours = Lines(job.id, look), Input()
    try:
        async with together() as tasks, asyncio.timeout(None) as patience:
            aside = [tasks.create_task(_ends(job, asked, flow, patience))]
            if has_input:
                aside.append(tasks.create_task(ours.feed(job, flow)))
            try:
                async with reader_watched():
                    await copy(job.output(tagged=True), lines, flow)
                status = await job.wait()
            except (ReaderGone, CannotWrite) as error:  # a local program would have ended, too
                why = "nobody reads" if isinstance(error, ReaderGone) else "nothing takes"
                await flow.say(f"stopping job {job.id}: {why} its output any more")
                await _stopped(job, None, flow)
                raise
            else:
                if look.json:
                    await flow.write(STDOUT, text_bytes(as_json(status)))
            finally:
                for each in aside:
                    each.cancel()
    except (ReaderGone, CannotWrite):
        raise
    except TimeoutError:  # of our patience alone: the client's errors are of another kind
        rest = f"workerclient logs --since-offset {lines.offset} {job.id}"
        say_what_fits(f"job {job.id} has ended, the rest of its output is left out: {rest}")
        status = await job.wait()
    except Exception:
        await flow.say(f"job {job.id} may still run: workerclient logs {job.id}")
        raise
    if ours.error:
        raise ours.error
    return status


class Input:
    """Our stdin, for the job."""

    def __init__(self) -> None:
        self.error: CannotRead | None = None  # for which the job is asked to end

    async def feed(self, job: Job, flow: Flow) -> None:
        try:
            await job.send_input(pieces_of_stdin())
        except NotNow:
            pass  # the job has ended, or has closed its stdin: its own affair
        except CannotRead as error:
            self.error = error
            await flow.say(f"stopping job {job.id}: it can't have all of its input")
            await _stopped(job, None, flow)
        except WorkerError as error:
            await flow.say(f"stdin: {error}")


async def _ends(job: Job, asked: Asked, flow: Flow, patience: asyncio.Timeout) -> None:
    """Nothing here waits for an answer or a reader before the next signal is heard."""
    await asked.once.wait()
    async with together() as tasks:
        tasks.create_task(_tell_first(job, asked, flow))
        tasks.create_task(_watched(job, asked))
        stopping = tasks.create_task(_stopped(job, None, flow))
        await asked.twice.wait()
        stopping.cancel()
        if not asked.job_ended.is_set():
            tasks.create_task(flow.say(f"killing job {job.id}; once more leaves it"))
            tasks.create_task(_stopped(job, 0, flow))
        await asked.job_ended.wait()
        patience.reschedule(asyncio.get_running_loop().time() + REST_TIME)


async def _tell_first(job: Job, asked: Asked, flow: Flow) -> None:
    has_ended = False
    with suppress(WorkerError, TimeoutError):
        async with asyncio.timeout(ANSWER_TIME):
            has_ended = (await job.status()).is_final
    if asked.twice.is_set():
        return
    if has_ended:
        await flow.say(f"job {job.id} has ended; once more leaves the rest of its output out")
    else:
        await flow.say(f"stopping job {job.id}; once more kills it")


async def _watched(job: Job, asked: Asked) -> None:
    with suppress(WorkerError):  # its output fails as well, and tells
        await job.wait()
        asked.job_ended.set()


async def _stopped(job: Job, grace_period: float | None, flow: Flow) -> None:
    try:
        await job.stop(grace_period=grace_period)
    except WorkerError as error:
        await flow.say(f"job {job.id} may still run: workerclient stop {job.id}: {error}")
