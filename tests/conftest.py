from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.testset import make_test_set


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like certs/test: NAME.pem and NAME.key of ca, server, full, readonly, norole."""
    folder = tmp_path_factory.mktemp("certificates")
    make_test_set(folder, datetime.now(UTC))
    return folder
