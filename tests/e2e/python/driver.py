"""Python: grpcio, which makes its stubs of the original contract itself. See drivers.py."""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

DEADLINE = 1.0

sys.path.append(str(Path(__file__).parents[1]))  # where the generator looks for it
messages, services = grpc.protos_and_services("original.proto")


def show(line: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


def credentials(folder: Path, identity: str) -> grpc.ChannelCredentials:
    ca = (folder / "ca.pem").read_bytes()
    if identity == "none":
        return grpc.ssl_channel_credentials(ca)
    pair = [(folder / f"{identity}.{kind}").read_bytes() for kind in ("key", "pem")]
    return grpc.ssl_channel_credentials(ca, *pair)


def output(stub: Any, job: str, timeout: float | None = None) -> Iterator[bytes]:
    request = messages.GetOutputRequest(jobID=bytes.fromhex(job))
    for message in stub.GetOutput(request, timeout=timeout):
        if message.output:
            yield message.output


def start(stub: Any, command: str, *arguments: str) -> Iterator[dict[str, object]]:
    request = messages.StartRequest(commandName=command, arguments=arguments)
    yield {"job": stub.Start(request, timeout=DEADLINE).jobID.hex()}


def query(stub: Any, job: str) -> Iterator[dict[str, object]]:
    request = messages.QueryStatusRequest(jobID=bytes.fromhex(job))
    answer = stub.QueryStatus(request, timeout=DEADLINE)
    yield {
        "status": messages.JobStatus.Name(answer.JobStatus),
        "exitCode": answer.exitCode,
        "command": [answer.commandName, *answer.arguments],
    }


def stop(stub: Any, job: str) -> Iterator[dict[str, object]]:
    stub.Stop(messages.StopRequest(jobID=bytes.fromhex(job)), timeout=DEADLINE)
    yield {}


def stream(stub: Any, job: str, seconds: str | None = None) -> Iterator[dict[str, object]]:
    for chunk in output(stub, job, float(seconds) if seconds else None):
        yield {"output": base64.b64encode(chunk).decode()}
    yield {}


def watch(stub: Any, job: str, count: str) -> Iterator[dict[str, object]]:
    def watcher(_: int) -> dict[str, object]:
        size, digest = 0, hashlib.sha256()
        for chunk in output(stub, job):
            if not size:
                show({"watching": True})
            size += len(chunk)
            digest.update(chunk)
        return {"size": size, "sha256": digest.hexdigest()}

    with ThreadPoolExecutor(int(count)) as threads:
        yield from threads.map(watcher, range(int(count)))


VERBS: dict[str, Callable[..., Iterator[dict[str, object]]]] = {
    "start": start,
    "query": query,
    "stop": stop,
    "stream": stream,
    "watch": watch,
}


def main(address: str, folder: str, identity: str, verb: str, *arguments: str) -> None:
    try:
        with grpc.secure_channel(address, credentials(Path(folder), identity)) as channel:
            if verb == "call":
                call = channel.unary_unary(arguments[0], bytes, bytes)
                call(b"", timeout=DEADLINE)
                show({})
            else:
                stub = services.WorkerServiceStub(channel)
                for line in VERBS[verb](stub, *arguments):
                    show(line)
    except grpc.RpcError as error:
        show({"code": error.code().value[0], "details": error.details()})


if __name__ == "__main__":
    main(*sys.argv[1:])
