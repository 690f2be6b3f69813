"""Runs a command on a server, shows its output as it comes, and ends with its exit code.

python examples/client.py workerclient.yaml make -j4 all
"""

import asyncio
import sys
from contextlib import aclosing

from worker import Client, WorkerError
from worker.client import ClientConfig


async def main(config: str, command: str, *arguments: str) -> int | str:
    async with Client(ClientConfig.load(config)) as client:
        job = await client.start(command, *arguments)
        print(f"started {job.id}", file=sys.stderr)
        async with aclosing(job.output()) as output:
            async for chunk in output:
                sys.stdout.buffer.write(chunk.data)
                sys.stdout.buffer.flush()
        status = await job.wait()
    if status.exit_code is None:
        return f"how it ended isn't known: {status.reason}"
    return status.exit_code


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/client.py workerclient.yaml COMMAND [ARGUMENT...]")
    try:
        sys.exit(asyncio.run(main(*sys.argv[1:])))
    except WorkerError as error:
        sys.exit(str(error))  # one sentence that says what to do
