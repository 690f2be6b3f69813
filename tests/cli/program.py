"""The installed workerclient, as a process."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker.client import ClientConfig

PROGRAM = str(Path(sys.executable).with_name("workerclient"))
TIMEOUT = 30


@contextmanager
def fifo(path: Path) -> Iterator[int]:
    """Open so that we wait for no job that opens it, too, or has died before."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Result:
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        """The one sentence on stderr."""
        (line,) = self.stderr.decode().splitlines()
        assert line.startswith("workerclient: ")
        assert "Traceback" not in line
        return line.removeprefix("workerclient: ")


@dataclass(frozen=True)
class Program:
    folder: Path  # the current directory, and HOME
    environment: dict[str, str] = field(default_factory=dict)
    redirected: str = ""  # as the shell writes it

    def popen(self, *arguments: str | bytes, **options: Any) -> subprocess.Popen[bytes]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if name != "WORKERCLIENT_CONFIG" and not name.startswith("XDG_")
        }
        settings: dict[str, Any] = {
            "cwd": self.folder,
            "env": clean | {"HOME": str(self.folder)} | self.environment,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        shell = ["sh", "-c", f'exec "$0" "$@" {self.redirected}', PROGRAM]
        return subprocess.Popen([*shell, *arguments], **settings | options)

    def run(self, *arguments: str | bytes, **options: Any) -> Result:
        with self.popen(*arguments, **options) as process:
            stdout, stderr = process.communicate(timeout=TIMEOUT)
        return Result(process.returncode, stdout, stderr)

    async def aside(self, *arguments: str | bytes, **options: Any) -> Result:
        """While a server of this process answers."""
        return await asyncio.to_thread(self.run, *arguments, **options)

    async def at_once(self, *lines: list[str]) -> list[Result]:
        return await asyncio.gather(*(self.aside(*line) for line in lines))

    def configure(self, config: ClientConfig, name: str = "workerclient.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"serverAddress: '{config.server_address}'\n"
            f"serverCA: {config.server_ca}\n"
            f"clientCertificate: {config.client_certificate}\n"
            f"clientKey: {config.client_key}\n"
        )
        return path
