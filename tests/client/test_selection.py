"""A selection goes through the wire, and over a broken connection."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import Service, serving
from worker.errors import InvalidRequest
from worker.state import Stream

pytestmark = pytest.mark.every_python


async def test_streams_tails_and_both(service: Service) -> None:
    async with client_for(service) as client:
        job = await client.start("sh", "-c", "seq 5; seq 5 >&2")
        await job.wait()

        async def read(**options: object) -> bytes:
            return b"".join([chunk.data async for chunk in job.output(**options)])

        assert await read(stream=Stream.STDERR) == b"1\n2\n3\n4\n5\n"
        assert await read(stream=Stream.STDOUT, tail_lines=2) == b"4\n5\n"
        assert await read(tail_bytes=0) == b""
        assert await read(tail_lines=10**9) == b"1\n2\n3\n4\n5\n" * 2
        assert [line async for line in job.lines(stream=Stream.STDOUT, tail_lines=1)] == [b"5"]
        with pytest.raises(InvalidRequest, match="only one of them"):
            await read(offset=1, tail_lines=1)


async def test_a_tail_of_one_stream_resumes_where_it_was(
    tmp_path: Path, certificates: Path
) -> None:
    script = "seq 100; seq 100 >&2; echo ready; read x; seq 100; seq 100 >&2"
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("bash", "-c", script, input=True)
            async for chunk in job.output():
                if b"ready" in chunk.data:
                    break
            async with aclosing(job.output(stream=Stream.STDERR, tail_lines=2)) as chunks:
                assert (await anext(chunks)).data == b"99\n100\n"
                await asyncio.to_thread(service.kill_server)
                await job.send_input(b"go\n")
                rest = b"".join([chunk.data async for chunk in chunks])
            assert rest == b"".join(b"%d\n" % number for number in range(1, 101))
