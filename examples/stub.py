"""The calls of the contract themselves: the generated stub, on a channel that is pinned as ours is.

python examples/stub.py workerclient.yaml
"""

import asyncio
import sys
from uuid import UUID, uuid4

from gen.workerservice import (
    GetOutputRequest,
    QueryStatusRequest,
    StartRequest,
    StopRequest,
    WorkerServiceStub,
)
from worker.client import ClientConfig
from worker.client.channel import client_channel


async def main(config: str) -> None:
    # TLS 1.3 with TLS_AES_256_GCM_SHA384 alone, or no connection.
    async with client_channel(ClientConfig.load(config)) as channel:
        stub = WorkerServiceStub(channel)
        request = StartRequest(
            job_id=uuid4().bytes,  # ours: asked twice after a broken connection, it starts once
            command_name="sh",
            arguments=["-c", "echo $GREETING; exec sleep 600"],
            environment={"GREETING": "hello"},
        )
        job_id = (await stub.start(request, timeout=1)).job_id
        async for message in stub.get_output(GetOutputRequest(job_id=job_id)):
            if message.output:
                print(message.output.decode(), end="")
                await stub.stop(StopRequest(job_id=job_id), timeout=1)
        status = await stub.query_status(QueryStatusRequest(job_id=job_id), timeout=1)
        print(UUID(bytes=job_id), status.job_status.name, status.exit_code)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/stub.py workerclient.yaml")
    asyncio.run(main(*sys.argv[1:]))
