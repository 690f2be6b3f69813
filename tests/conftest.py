from __future__ import annotations

import os
import signal
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from certs.testset import make_test_set

# What may be skipped in CI, where a skip is a failure: the test, and why its machine lacks it.
MAY_SKIP: Final[dict[str, str]] = {}


def pytest_configure() -> None:
    """A shell without job control ignores SIGINT for what it starts with &, and so would jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like certs/test: NAME.pem and NAME.key of ca, server, full, readonly, norole."""
    folder = tmp_path_factory.mktemp("certificates")
    make_test_set(folder, datetime.now(UTC))
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    is_skip = report.skipped and not hasattr(report, "wasxfail")
    if is_skip and os.environ.get("CI") == "true" and item.nodeid not in MAY_SKIP:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, and not in tests/conftest.py: {report.longreprtext}"
    return report
