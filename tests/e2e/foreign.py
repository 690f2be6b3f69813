"""A client that knows nothing of ours: grpcio, with stubs of the original contract alone."""

import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import grpc

from tests.e2e.service import Service

# As soon as it can: tests would wait for a second each time.
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]


@dataclass(frozen=True)
class Stubs:
    messages: ModuleType
    services: ModuleType


def generated(proto: Path, folder: Path) -> Stubs:
    command = ["-m", "grpc_tools.protoc", f"-I{proto.parent}", f"--python_out={folder}"]
    subprocess.run(
        [sys.executable, *command, f"--grpc_python_out={folder}", proto.name], check=True
    )
    messages = loaded(folder / "original_pb2.py")
    return Stubs(messages, loaded(folder / "original_pb2_grpc.py"))


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # the second of the two imports the first by this name
    spec.loader.exec_module(module)
    return module


def credentials(service: Service, name: str | None) -> grpc.ChannelCredentials:
    """With the certificate of `name`, or none."""
    folder = service.certificates
    ca = (folder / "ca.pem").read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(ca)
    key, certificate = (folder / f"{name}.key").read_bytes(), (folder / f"{name}.pem").read_bytes()
    return grpc.ssl_channel_credentials(ca, key, certificate)


class Foreign:
    def __init__(self, service: Service, stubs: Stubs, name: str | None) -> None:
        self.messages = stubs.messages
        self.channel = grpc.aio.secure_channel(
            service.address, credentials(service, name), RECONNECT
        )
        self.stub = stubs.services.WorkerServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.channel.close()

    async def wait_ready(self) -> None:
        """Until there is a connection, a new one where the last one broke."""
        await self.channel.channel_ready()

    async def start(self, command: str, *arguments: str) -> bytes:
        request = self.messages.StartRequest(commandName=command, arguments=arguments)
        job_id: bytes = (await self.stub.Start(request)).jobID
        return job_id

    async def query(self, job_id: bytes) -> Any:
        return await self.stub.QueryStatus(self.messages.QueryStatusRequest(jobID=job_id))

    async def stop(self, job_id: bytes, timeout: float | None = None) -> None:
        await self.stub.Stop(self.messages.StopRequest(jobID=job_id), timeout=timeout)

    async def chunks(self, job_id: bytes) -> AsyncIterator[bytes]:
        """Of its output, up to the end of the stream."""
        stream = self.stub.GetOutput(self.messages.GetOutputRequest(jobID=job_id))
        async for message in stream:
            if message.output:  # the end message, which it doesn't know, has none
                yield message.output

    async def output(self, job_id: bytes) -> bytes:
        return b"".join([chunk async for chunk in self.chunks(job_id)])

    async def whole_output(self, job_id: bytes) -> bytes:
        """Asked for again from its start, where the connection broke."""
        while True:
            try:
                return await self.output(job_id)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await self.wait_ready()
