"""Output of real jobs: every byte, for everybody, from any place."""

import asyncio
import os
import sys
from asyncio import TaskGroup
from pathlib import Path

import pytest

from tests.jobs.conftest import descriptors
from tests.jobs.scripts import gate, read, shell, wait_for
from worker import Registry
from worker.errors import OutOfRange
from worker.spec import OutputMode
from worker.state import Stream


@pytest.mark.parametrize("mode", list(OutputMode), ids=str)
async def test_every_follower_gets_every_byte_whenever_it_comes(
    registry: Registry, tmp_path: Path, mode: OutputMode
) -> None:
    script = f"read x < {tmp_path}/go; seq 1 200000; head -c 1 /dev/zero; seq 1 300 >&2"
    os.mkfifo(tmp_path / "go")
    job = await registry.start("sh", "-c", script, output_mode=mode)
    expected = b"".join(b"%d\n" % n for n in range(1, 200001)) + b"\0"
    async with TaskGroup() as group:
        early = [group.create_task(read(job.output())) for _ in range(4)]
        await asyncio.to_thread((tmp_path / "go").write_bytes, b"\n")
        await wait_for(job, b"\n1000\n")
        later = [group.create_task(read(job.output())) for _ in range(4)]
    await job.wait()
    outputs = [task.result() for task in [*early, *later]]
    outputs.append(await read(job.output()))
    errors = b"".join(b"%d\n" % n for n in range(1, 301))
    assert set(outputs) == {outputs[0]}
    assert len(outputs[0]) == len(expected + errors)
    if mode is OutputMode.MERGED:
        assert outputs[0] == expected + errors


async def test_tagged_chunks_tell_the_stream_of_each_byte(registry: Registry) -> None:
    script = "import os\nfor i in range(2000): os.write(1 + i % 2, b'oe'[i % 2:][:1] * (i % 9 + 1))"
    job = await registry.start(sys.executable, "-c", script)
    letters = {Stream.STDOUT: b"o", Stream.STDERR: b"e"}
    position, times = 0, []
    async for chunk in job.output(tagged=True):
        assert set(chunk.data) == set(letters[chunk.stream])
        assert chunk.offset == position
        position += len(chunk.data)
        times.append(chunk.time)
    assert position == (await job.wait()).output.total == sum(i % 9 + 1 for i in range(2000))
    assert all(times)


async def test_merged_output_is_in_order(registry: Registry) -> None:
    script = "import os\nfor i in range(2000): os.write(1 + i % 2, b'%d\\n' % i)"
    job = await registry.start(sys.executable, "-c", script, output_mode=OutputMode.MERGED)
    assert (await read(job.output())).split() == [b"%d" % i for i in range(2000)]
    tags = {chunk.stream async for chunk in job.output(tagged=True)}
    assert tags == {Stream.MERGED}


async def test_output_can_be_resumed_at_any_byte(registry: Registry) -> None:
    job = await registry.start("seq", "1", "50000")
    whole = await read(job.output())
    for offset in (0, 1, 6, 100_000, len(whole) - 1, len(whole)):
        assert await read(job.output(offset=offset)) == whole[offset:]
        assert await read(job.output(offset=offset, tagged=True)) == whole[offset:]


async def test_an_offset_beyond_the_output_waits_while_the_job_runs(
    registry: Registry, tmp_path: Path
) -> None:
    job = await gate(registry, tmp_path / "go", "printf abcdef")
    async with TaskGroup() as group:
        ahead = group.create_task(read(job.output(offset=4)))
        assert await read(job.output(offset=4, follow=False)) == b""
        await asyncio.to_thread((tmp_path / "go").write_bytes, b"\n")
    assert ahead.result() == b"ef"


async def test_an_offset_beyond_the_output_of_a_final_job_is_an_error(registry: Registry) -> None:
    job = await registry.start("printf", "abcdef")
    assert await read(job.output(offset=6)) == b""  # it waited for the end
    for follow in (True, False):
        with pytest.raises(OutOfRange, match="6 bytes"):
            await read(job.output(offset=7, follow=follow))


async def test_an_offset_that_is_never_reached_is_an_error_at_the_end(
    registry: Registry, tmp_path: Path
) -> None:
    job = await gate(registry, tmp_path / "go", "printf abcdef")
    async with TaskGroup() as group:

        async def ahead() -> None:
            with pytest.raises(OutOfRange):
                await read(job.output(offset=7))

        group.create_task(ahead())
        await asyncio.to_thread((tmp_path / "go").write_bytes, b"\n")


async def test_without_following_it_ends_where_the_output_ends_now(registry: Registry) -> None:
    job = await shell(registry, "printf ready; exec sleep 987")
    await wait_for(job, b"ready")
    assert await read(job.output(follow=False)) == b"ready"


async def test_output_beyond_the_cap_is_counted_and_told(state: Path) -> None:
    async with Registry(state, output_cap=100_000) as registry:
        job = await shell(registry, "head -c 300000 /dev/zero; echo THE-END >&2; exit 4")
        chunks = [chunk async for chunk in job.output()]
        status = await job.wait()
    assert status.exit_code == 4
    kept = sum(len(chunk.data) for chunk in chunks)
    skipped = sum(chunk.skipped for chunk in chunks)
    assert kept == status.output.total <= 100_000
    assert skipped == status.output.dropped == 300_008 - kept


async def test_a_follower_that_goes_leaves_no_descriptor(registry: Registry) -> None:
    job = await registry.start("sleep", "987")
    before = descriptors()
    async with TaskGroup() as group:
        followers = [group.create_task(read(job.output())) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for follower in followers:
            follower.cancel()
    assert descriptors() == before
