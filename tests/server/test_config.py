from pathlib import Path

import pytest

from worker.errors import BadConfig
from worker.jobs.retention import DEFAULT_RETENTION, Retention
from worker.server.config import DEFAULT_OUTPUT_CAP, DEFAULT_SHUTDOWN_GRACE, ServerConfig
from worker.settings import Address

GOOD = """\
listenAddress: localhost:0
clientCA: certs/ca.pem
serverCertificate: /abs/server.pem
serverKey: server.key
stateDirectory: state
"""


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD)
    assert ServerConfig.load(file) == ServerConfig(
        listen_address=Address("localhost", 0),
        client_ca=tmp_path / "certs/ca.pem",
        server_certificate=Path("/abs/server.pem"),
        server_key=tmp_path / "server.key",
        state_directory=tmp_path / "state",
        output_cap=DEFAULT_OUTPUT_CAP,
        shutdown_grace=DEFAULT_SHUTDOWN_GRACE,
        retention=DEFAULT_RETENTION,
    )


def test_limits_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + "outputCap: 1048576\nshutdownGrace: 0.5\n")
    config = ServerConfig.load(file)
    assert (config.output_cap, config.shutdown_grace) == (1048576, 0.5)


def test_what_is_kept_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + "retentionAge: 3600\nretentionJobs: 100000\n")
    kept = ServerConfig.load(file).retention
    assert kept == Retention(age=3600, jobs=100_000, bytes=DEFAULT_RETENTION.bytes)


@pytest.mark.parametrize(
    "line",
    [
        *("outputCap: -1", "shutdownGrace: -1", "outputCap: 1.5", "port: 1"),
        *("retentionAge: 0", "retentionJobs: 0", "retentionBytes: 0"),  # it isn't "no limit"
    ],
)
def test_a_limit_that_can_not_be_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + line)
    with pytest.raises(BadConfig, match=line.partition(":")[0]):
        ServerConfig.load(file)
