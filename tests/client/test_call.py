"""What wakes a call of ours, and what it leaves of its task."""

import asyncio

import pytest
from grpclib.exceptions import StreamTerminatedError

from worker.client.call import Waker

pytestmark = pytest.mark.every_python


async def test_of_several_reasons_the_first_counts_and_none_is_left_behind() -> None:
    waker = Waker()

    async def wait() -> int:
        with pytest.raises(StreamTerminatedError, match="first"), waker:
            await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task
        return task.cancelling()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waker.cancel(StreamTerminatedError("first"))
    waker.cancel(StreamTerminatedError("second"))
    assert await waiting == 0
