"""`make torture`: kill -9 of the server under load, at random and in each known window."""

# ruff: noqa: T201 - it reports

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from certs.testset import make_test_set
from tests.torture.torture import torture


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        certificates = Path(name) / "certificates"
        make_test_set(certificates, datetime.now(UTC))
        report = torture(
            Path(name),
            certificates,
            given.seed,
            kills=given.kills,
            seconds=given.seconds,
            clients=given.clients,
        )
    print(report)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
