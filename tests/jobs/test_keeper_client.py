"""What only a keeper that is broken does: the registry survives it and says what happened.

The other end is a few lines that speak frames; what a sound keeper does is tested with it.
"""

import asyncio
import queue
import socket
import sqlite3
from asyncio import StreamReader, StreamWriter, TaskGroup
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest

from tests.jobs.folders import request_of, versioned, write_ended, write_output
from tests.jobs.orphaned import in_cgroup
from tests.jobs.scripts import read
from worker import Job, Registry
from worker.errors import (
    DataLost,
    InternalError,
    JobError,
    JobNotFound,
    KeeperLost,
    SetupError,
    Unavailable,
)
from worker.jobs import durable
from worker.jobs.clock import utc
from worker.jobs.row import Row
from worker.jobs.store import Store
from worker.keeper.frames import LENGTHS, Frames, encode
from worker.keeper.messages import (
    PROTOCOL,
    Done,
    Ended,
    Grown,
    Hello,
    Leave,
    List,
    Listed,
    ListEnd,
    Message,
    Refusal,
    Refused,
    Running,
    Spawn,
    Stop,
    Tell,
)
from worker.spec import JobSpec
from worker.state import JobState

JOB = UUID(int=7)
SPEC = JobSpec("true")
M = TypeVar("M", bound=Message)


class Peer:
    """The keeper's end of the socket."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = Frames()
        self._received: list[Message] = []

    async def expect(self, kind: type[M]) -> M:
        while not self._received:
            data = await self._reader.read(65536)
            assert data, f"the socket was closed before a {kind.__name__}"
            messages = [message for message, _ in self._frames.feed(data)]
            # Asked for each job that runs, at any moment: its output is made durable as it grows.
            self._received += [each for each in messages if not isinstance(each, Tell)]
        message = self._received.pop(0)
        assert isinstance(message, kind)
        return message

    def send(self, *messages: Message | bytes) -> None:
        """As one piece."""
        frames = (each if isinstance(each, bytes) else encode(each) for each in messages)
        self._writer.write(b"".join(frames))

    async def accept(self, *listed: Listed, refused: Sequence[str] = ()) -> None:
        await self.expect(Hello)
        await self.expect(List)
        self.send(Hello(PROTOCOL, "epoch"), *listed, ListEnd([*refused]))

    async def run(self) -> None:
        """Let the next job be started."""
        spawn = await self.expect(Spawn)
        self.send(Running(spawn.job, 1), Done(spawn.ask))

    def finish(self) -> None:
        self._writer.write_eof()


async def started(registry: Registry, peer: Peer) -> Job:
    async with TaskGroup() as group:
        starting = group.create_task(registry.submit(SPEC, job_id=JOB))
        await peer.run()
    return starting.result()


async def refused(answer: Awaitable[object]) -> str:
    with pytest.raises(JobError) as refusal:
        await answer
    return str(refusal.value)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Peer, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours:
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        yield Peer(reader, writer), ours
        writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
def peer(ends: tuple[Peer, socket.socket]) -> Peer:
    return ends[0]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    return tmp_path


@pytest.fixture
async def registry(state: Path, ends: tuple[Peer, socket.socket]) -> AsyncIterator[Registry]:
    peer, ours = ends
    async with TaskGroup() as group:
        group.create_task(peer.accept())
        registry = await Registry(state, keeper=ours).__aenter__()
    yield registry
    await registry.__aexit__(None, None, None)


async def test_what_the_keeper_refused_is_not_asked_for_by_the_next_server(
    state: Path, ends: tuple[Peer, socket.socket]
) -> None:
    """A full disk has kept its row, though the client was told that it didn't start."""
    peer, ours = ends
    store = Store(state / "jobs.db")
    store.add(Row.of(request_of(JOB), "epoch"))
    store.close()
    async with TaskGroup() as group:
        group.create_task(peer.accept(refused=[str(JOB)]))
        async with Registry(state, keeper=ours) as registry:
            with pytest.raises(JobNotFound):
                await registry.status(JOB)
            assert (await started(registry, peer)).id == JOB
            peer.finish()


async def test_the_jobs_of_the_list_are_followed_and_those_it_never_got_are_started(
    state: Path, ends: tuple[Peer, socket.socket]
) -> None:
    peer, ours = ends
    running, starting, unasked = (request_of(UUID(int=number)) for number in range(3))
    store = Store(state / "jobs.db")
    for request in (running, starting, unasked):
        store.add(Row.of(request, "epoch"))
    store.close()
    for request in (running, starting):
        write_output(state / "jobs" / request.job, b"abc", [])

    async def serve() -> list[str]:
        await peer.accept(
            Listed(running.job, 3, 17, is_paused=False, reason=""),
            Listed(starting.job, 0, None, is_paused=False, reason=""),
        )
        spawns = [await peer.expect(Spawn), await peer.expect(Spawn)]
        peer.send(*(Done(spawn.ask) for spawn in spawns))
        return [spawn.job for spawn in spawns]

    async with TaskGroup() as group:
        served = group.create_task(serve())
        async with Registry(state, keeper=ours) as registry:
            status = await registry.status(UUID(running.job))
            for request in (running, starting):
                async with aclosing(registry.output(UUID(request.job))) as chunks:
                    assert (await anext(chunks)).data == b"abc"
    assert served.result() == [starting.job, unasked.job]
    assert (status.state, status.started_at) == (JobState.RUNNING, utc(17))


@pytest.mark.parametrize("epoch", ["epoch", "another"], ids=["of this keeper", "of another"])
async def test_what_has_run_is_not_started_again_though_its_folder_is_gone(
    state: Path, ends: tuple[Peer, socket.socket], epoch: str
) -> None:
    peer, ours = ends
    row = Row.of(request_of(JOB), epoch)
    store = Store(state / "jobs.db")
    store.add(replace(row, status=replace(row.status, state=JobState.RUNNING)))
    store.close()
    async with TaskGroup() as group:
        group.create_task(peer.accept())
        async with Registry(state, keeper=ours) as registry:
            status = await registry.status(JOB)
            peer.finish()
    assert (status.state, status.reason) == (JobState.LOST, "its folder is gone")


async def test_output_of_a_job_that_ran_before_us_is_made_durable_too(
    state: Path, ends: tuple[Peer, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, ours = ends
    synced: queue.Queue[Path] = queue.Queue()
    monkeypatch.setattr(durable, "SYNC_EVERY", 2)
    monkeypatch.setattr(durable, "sync", synced.put)
    row = Row.of(request_of(JOB), "epoch")
    store = Store(state / "jobs.db")
    store.add(replace(row, status=replace(row.status, state=JobState.RUNNING)))
    store.close()
    write_output(state / "jobs" / str(JOB), b"abc", [])
    async with TaskGroup() as group:
        group.create_task(peer.accept(Listed(str(JOB), 3, 17, is_paused=False, reason="")))
        async with Registry(state, keeper=ours):
            first = await asyncio.to_thread(synced.get, timeout=10)
    assert first == state / "jobs" / str(JOB) / "output"


def too_long() -> bytes:
    return LENGTHS.pack(2**31, 0)


def frame(text: bytes) -> bytes:
    return LENGTHS.pack(len(text), 0) + text


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param([], "has closed its connection", id="it goes at once"),
        pytest.param([Hello(PROTOCOL + 1, "e")], "protocol", id="another protocol"),
        pytest.param([frame(b"ouch")], "has closed its connection", id="nonsense"),
        pytest.param([Hello(PROTOCOL, "e")], "listed", id="it goes before the list"),
        pytest.param([Hello(PROTOCOL, "e"), Done(1)], "listed", id="no list"),
    ],
)
async def test_a_keeper_that_does_not_begin_well_is_one_clear_error(
    state: Path, ends: tuple[Peer, socket.socket], answer: list[Message | bytes], told: str
) -> None:
    peer, ours = ends

    async def begin() -> None:
        await peer.expect(Hello)
        peer.send(*answer)
        peer.finish()

    async with TaskGroup() as group:
        group.create_task(begin())
        with pytest.raises(SetupError, match=told):
            await Registry(state, keeper=ours).__aenter__()


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"", id="end of file"),
        pytest.param(frame(b"{")[:-1], id="end of file within a frame"),
        pytest.param(frame(b"not json"), id="no JSON"),
        pytest.param(frame(b'{"kind":"Grown","job":"../..","size":1}'), id="a job that is a path"),
        pytest.param(frame(b'{"kind":"Ended"}'), id="a field is missing"),
        pytest.param(frame(b'{"kind":"Other"}'), id="an unknown kind"),
        pytest.param(too_long(), id="a length beyond all"),
        pytest.param(encode(Stop(1, str(JOB), "", None)), id="what only a server sends"),
        pytest.param(encode(Done(999)), id="an answer that nobody asked for"),
    ],
)
async def test_nonsense_ends_the_keeper_and_nothing_else(
    registry: Registry, peer: Peer, nonsense: bytes
) -> None:
    job = await started(registry, peer)
    peer.send(nonsense)
    peer.finish()
    with pytest.raises(KeeperLost):
        await job.wait()
    assert not await registry.wait_keeper_gone()
    with pytest.raises(KeeperLost):
        await job.status()
    with pytest.raises(KeeperLost):
        await job.stop()
    with pytest.raises(KeeperLost):
        await registry.start("true")


async def test_who_does_not_understand_a_living_keeper_leaves_its_jobs_alone(
    state: Path, registry: Registry, peer: Peer
) -> None:
    with in_cgroup(state) as process:
        peer.send(frame(b"nonsense"))
        assert not await registry.wait_keeper_gone()
        assert process.poll() is None


async def test_a_start_that_was_never_answered_is_kept_for_the_next_keeper(
    registry: Registry, peer: Peer, state: Path
) -> None:
    async with TaskGroup() as group:
        starting = group.create_task(refused(registry.submit(SPEC, job_id=JOB)))
        await peer.expect(Spawn)
        peer.finish()
    assert "the keeper ended" in starting.result()
    rows = sqlite3.connect(state / "jobs.db")
    assert rows.execute("SELECT id, state FROM jobs").fetchall() == [(str(JOB), "started")]
    rows.close()


async def test_a_keeper_that_goes_with_an_end_untold_has_it_read(
    registry: Registry, peer: Peer, state: Path
) -> None:
    job = await started(registry, peer)
    write_output(state / "jobs" / str(JOB), b"", [])
    write_ended(state / "jobs" / str(JOB), code=7)
    peer.finish()
    status = await job.wait()
    assert (status.state, status.exit_code) == (JobState.EXITED, 7)


@pytest.mark.parametrize("is_left", [True, False], ids=["cut", "deleted"])
async def test_output_that_somebody_shortened_is_an_error_of_its_followers(
    registry: Registry, peer: Peer, state: Path, *, is_left: bool
) -> None:
    job = await started(registry, peer)
    if is_left:
        write_output(state / "jobs" / str(JOB), b"abc", [])
    peer.send(Grown(str(JOB), 10))
    with pytest.raises(DataLost, match=f"{3 * is_left} bytes of 10"):
        await read(job.output())


async def test_an_end_without_its_record_is_lost(registry: Registry, peer: Peer) -> None:
    job = await started(registry, peer)
    peer.send(Ended(str(JOB)), Grown(str(JOB), 1), Ended(str(JOB)))
    status = await job.wait()
    assert (status.state, status.exit_code) == (JobState.LOST, None)


async def test_what_cannot_be_told_of_one_job_costs_no_other(
    registry: Registry, peer: Peer, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer = await started(registry, peer)
    write_output(state / "jobs" / str(JOB), b"abc", [])
    (state / "jobs" / str(JOB) / "ended").write_text(versioned({}, version=2))
    peer.send(Ended(str(JOB)))
    with pytest.raises(InternalError, match=str(JOB)):
        await newer.wait()
    async with TaskGroup() as group:
        starting = group.create_task(refused(registry.submit(SPEC)))
        peer.send(Running((await peer.expect(Spawn)).job, 10**20))
    assert "a fault of ours" in starting.result()
    async with TaskGroup() as group:
        sound = group.create_task(registry.submit(SPEC))
        await peer.run()
    assert (await sound.result().status()).state is JobState.RUNNING
    assert len([each for each in caplog.records if each.exc_info]) == 2


async def test_a_stop_that_crosses_the_end_is_no_error(registry: Registry, peer: Peer) -> None:
    job = await started(registry, peer)
    async with TaskGroup() as group:
        group.create_task(job.stop())
        stop = await peer.expect(Stop)
        peer.send(Refused(stop.ask, Refusal.NOT_FOUND, "over"), Ended(str(JOB)))


async def test_a_keeper_that_leaves_lets_the_jobs_end_and_starts_none(
    registry: Registry, peer: Peer, state: Path
) -> None:
    job = await started(registry, peer)
    peer.send(Leave())
    await registry.wait_leaving()
    with pytest.raises(Unavailable):
        await registry.start("true")
    write_output(state / "jobs" / str(JOB), b"", [])
    write_ended(state / "jobs" / str(JOB), cause="shutdown")
    peer.send(Ended(str(JOB)))
    peer.finish()
    assert await registry.wait_keeper_gone()
    assert (await job.wait()).state is JobState.STOPPED


async def test_two_starts_of_one_id_at_once_are_one(registry: Registry, peer: Peer) -> None:
    async with TaskGroup() as group:
        starts = [group.create_task(registry.submit(SPEC, job_id=JOB)) for _ in range(3)]
        await peer.run()
    assert {start.result().id for start in starts} == {JOB}
    async with TaskGroup() as group:
        group.create_task(registry.stop(JOB))
        stop = await peer.expect(Stop)  # no second Spawn stands before it
        peer.send(Done(stop.ask))


async def test_what_one_start_is_refused_so_is_the_other(registry: Registry, peer: Peer) -> None:
    async with TaskGroup() as group:
        starts = [group.create_task(refused(registry.submit(SPEC, job_id=JOB))) for _ in range(2)]
        spawn = await peer.expect(Spawn)
        peer.send(Refused(spawn.ask, Refusal.CANNOT_EXECUTE, "/x: not found"))
    assert [start.result() for start in starts] == ["/x: not found"] * 2
    with pytest.raises(JobNotFound):
        await registry.status(JOB)
    await started(registry, peer)  # the id is free again


async def test_a_start_goes_on_without_the_one_who_asked(registry: Registry, peer: Peer) -> None:
    async with TaskGroup() as group:
        starting = group.create_task(registry.submit(SPEC, job_id=JOB))
        spawn = await peer.expect(Spawn)
        starting.cancel()
    peer.send(Running(spawn.job, 1), Done(spawn.ask))
    job = await registry.submit(SPEC, job_id=JOB)
    assert (await job.status()).state is JobState.RUNNING
