"""A Client lists, finds and watches what the jobs of its server are."""

from contextlib import aclosing
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import Service, serving
from worker.errors import InvalidRequest, NotNow
from worker.listing import JobFilter
from worker.state import JobState

pytestmark = pytest.mark.every_python


async def test_a_readonly_client_lists_what_a_full_one_has_started(service: Service) -> None:
    async with client_for(service) as full, client_for(service, "readonly") as reader:
        for number in range(3):
            await (await full.start("true", labels={"list": str(number)})).wait()
        which = JobFilter(labels={"list": "1"}, owner="full")
        (status,) = [status async for status in reader.list(which)]
        assert status == await full.status(status.id)
        newest = await reader.page(JobFilter(), limit=3)
        assert [job.labels["list"] for job in newest.jobs] == ["2", "1", "0"]
        assert (await reader.find(status.id.hex[:16])).id == status.id
        with pytest.raises(InvalidRequest, match="pageToken"):
            await reader.page(JobFilter(), token="x")


async def test_a_watch_goes_on_over_a_killed_server(tmp_path: Path, certificates: Path) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("sleep", "60")
            async with aclosing(client.watch()) as watching:
                first = await anext(watching)
                assert (first.id, first.state) == (job.id, JobState.RUNNING)
                service.kill_server()
                await job.stop()
                last = await anext(watching)
            assert (last.id, last.state) == (job.id, JobState.STOPPED)
            assert last == await job.status()
            with pytest.raises(NotNow, match="begin with 0"):
                await anext(client.watch(since=1))
