from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.client.scripted import client_of
from tests.client.test_with_server import client_for
from tests.e2e.service import Service, serving
from worker.client import Client
from worker.settings import Address


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture
def hears_each(program: Program) -> None:
    """Two signals are never one, however soon: which are is the rule of test_attached alone."""
    (program.folder / "sitecustomize.py").write_text(
        "from cli import asked\nasked.AT_ONCE = asked.TOGETHER = 0.0\n"
    )
    program.environment["PYTHONPATH"] = str(program.folder)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Service]:
    """One for all tests that leave it as it was."""
    with serving(tmp_path_factory.mktemp("service"), certificates) as started:
        yield started


@pytest.fixture
def connected(program: Program, service: Service) -> Program:
    """With a workerclient.yaml of the role full in its folder, and a readonly.yaml."""
    address = Address.parsed(service.address)
    program.configure(client_of(service.certificates, address))
    program.configure(client_of(service.certificates, address, "readonly"), "readonly.yaml")
    return program


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """Starts jobs at no cost of a process; `connected` is who the test is about."""
    async with client_for(service) as opened:
        yield opened
