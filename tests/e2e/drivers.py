"""Clients generated from the original contract alone: a small program in each language.

    DRIVER ADDRESS FOLDER IDENTITY VERB [ARGUMENT ...]

trusts FOLDER/ca.pem, shows FOLDER/IDENTITY.pem with its .key ("none": no certificate), and
prints a line of JSON for each thing that it is told:

    start COMMAND [ARGUMENT ...]  {"job": HEX}
    query JOB                     {"status": NAME, "exitCode": NUMBER, "command": [...]}
    stop JOB                      {}
    stream JOB [SECONDS]          {"output": BASE64} as it comes; {} at the end
    watch JOB COUNT               of each of COUNT streams: {"watching": true} at its first byte,
                                  {"size": NUMBER, "sha256": HEX} at its end
    call METHOD                   {}: of any path, with an empty message

or, as the last one, {"code": NUMBER, "details": TEXT}. A call has a second from the moment at
which it is made without a connection, as the original's client sets it; a stream has SECONDS or
no deadline.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from grpclib.const import Status

HERE: Final = Path(__file__).parent
GOCODE: Final = Path("/usr/share/gocode")  # where Debian's Go packages are
PATIENCE_S: Final = 30


class Refused(Exception):
    def __init__(self, code: int, details: str) -> None:
        super().__init__(f"{Status(code).name}: {details}")
        self.status = Status(code)
        self.details = details


@dataclass(frozen=True)
class Driver:
    """One as it is called with an identity, on a server."""

    command: list[str]
    address: str
    folder: Path

    @contextmanager
    def telling(self, identity: str, verb: str, *arguments: str) -> Iterator[Iterator[Any]]:
        """What it is told, as it is told."""
        command = [*self.command, self.address, str(self.folder), identity, verb, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            try:
                yield map(checked, process.stdout)
                assert process.wait(PATIENCE_S) == 0
            finally:
                process.kill()

    def told(self, identity: str, verb: str, *arguments: str) -> list[dict[str, Any]]:
        with self.telling(identity, verb, *arguments) as lines:
            return list(lines)


def checked(line: bytes) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(line)
    if "code" in values:
        raise Refused(**values)
    return values


def python(_folder: Path) -> list[str]:
    return [sys.executable, str(HERE / "python" / "driver.py")]


def node(_folder: Path) -> list[str]:
    program = needed("node")
    if not (HERE / "node" / "node_modules").is_dir():
        pytest.skip("the packages of tests/e2e/node aren't installed: make foreign")
    return [program, str(HERE / "node" / "driver.js")]


def go(folder: Path) -> list[str]:
    """Built where Debian's packages are found: in a GOPATH, without modules."""
    for tool in ("protoc-gen-go", "protoc-gen-go-grpc"):
        needed(tool)
    if not (GOCODE / "src" / "google.golang.org" / "grpc").is_dir():
        pytest.skip("Go has no gRPC: make foreign")
    sources = folder / "src"
    sources.mkdir()
    options = [
        option
        for kind in ("go", "go-grpc")
        for option in (f"--{kind}_out={sources}", f"--{kind}_opt=Moriginal.proto=foreign/original")
    ]
    run([needed("protoc"), f"-I{HERE}", *options, "original.proto"])
    shutil.copytree(HERE / "go", sources / "foreign" / "driver")
    environment = {"GO111MODULE": "off", "GOPATH": f"{folder}:{GOCODE}"}
    run([needed("go"), "build", "-o", str(folder / "driver"), "foreign/driver"], environment)
    return [str(folder / "driver")]


def needed(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} isn't installed: make foreign")
    return path


def run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, env={**os.environ, **(environment or {})}, check=True)


# Each gives the command of a driver, and may build it in the folder.
LANGUAGES: Final[Mapping[str, Callable[[Path], list[str]]]] = {
    "python": python,
    "node": node,
    "go": go,
}
