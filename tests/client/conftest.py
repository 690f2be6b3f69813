from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Service]:
    """One for all tests that leave it as it was."""
    with serving(tmp_path_factory.mktemp("service"), certificates) as started:
        yield started
