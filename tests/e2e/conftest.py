from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.foreign import Stubs, generated
from tests.e2e.service import Service, serving
from tests.keeper.test_ways import without_cgroups


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Stubs:
    """What grpcio's generator makes of the original contract."""
    return generated(Path(__file__).with_name("original.proto"), tmp_path_factory.mktemp("stubs"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Service]:
    """One service for all tests that leave it as it was."""
    with serving(tmp_path_factory.mktemp("service"), certificates) as service:
        yield service


@pytest.fixture(scope="module", params=["with cgroups", "without cgroups"])
def either_way(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Path
) -> Iterator[Service]:
    before = without_cgroups() if request.param == "without cgroups" else []
    with serving(tmp_path_factory.mktemp("tree"), certificates, before=before) as service:
        yield service


@pytest.fixture
def server(tmp_path: Path, certificates: Path) -> Iterator[Service]:
    with serving(tmp_path, certificates) as service:
        yield service
