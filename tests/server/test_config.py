import os
import resource
from pathlib import Path

import pytest

from worker.errors import BadConfig, InvalidRequest
from worker.jobs.request import OUTPUT_CAP
from worker.jobs.retention import DEFAULT_RETENTION, Retention
from worker.limits import Limits
from worker.server.config import DEFAULT_SHUTDOWN_GRACE, ServerConfig
from worker.server.permitted import Permitted
from worker.settings import Address
from worker.spec import JobSpec

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
        shutdown_grace=DEFAULT_SHUTDOWN_GRACE,
        retention=DEFAULT_RETENTION,
        permitted=Permitted(max_limits=Limits(output=OUTPUT_CAP)),
    )


def test_limits_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + "outputCap: 1048576\nshutdownGrace: 0.5\n")
    config = ServerConfig.load(file)
    assert (config.permitted.defaults.output, config.shutdown_grace) == (1048576, 0.5)


def test_what_is_kept_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + "retentionAge: 3600\nretentionJobs: 100000\n")
    kept = ServerConfig.load(file).retention
    assert kept == Retention(age=3600, jobs=100_000, bytes=DEFAULT_RETENTION.bytes)


@pytest.mark.parametrize(
    "line",
    [
        *("outputCap: 4095", "maxLimits: {output: 4095}"),  # they would hold the index alone
        *("outputCap: -1", "shutdownGrace: -1", "outputCap: 1.5", "port: 1"),
        *("retentionAge: 0", "retentionJobs: 0", "retentionBytes: 0"),  # it isn't "no limit"
        *("outputCap: 100000000000000000", f"shutdownGrace: {10**400}"),
        *(f"limits: {{memory: {10**400}}}", "maxLimits: {output: 100000000000000000}"),
        *("limits: {time: 100}\nmaxLimits: {time: 50}", "limits: {nice: 1}\nmaxLimits: {nice: 2}"),
        "limits: {output: 10001}\noutputCap: 10000",
    ],
)
def test_a_limit_that_can_not_be_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + line)
    with pytest.raises(BadConfig, match=line.partition(":")[0]):
        ServerConfig.load(file)


@pytest.mark.parametrize(
    ("lines", "most"),
    [
        ("outputCap: 10000\nmaxLimits: {output: 20000}", 10000),
        ("outputCap: 20000\nmaxLimits: {output: 10000}", 10000),
    ],
)
def test_the_most_of_output_is_the_lesser_of_the_two(tmp_path: Path, lines: str, most: int) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + lines)
    permitted = ServerConfig.load(file).permitted
    assert permitted.defaults.output == most
    with pytest.raises(InvalidRequest, match=rf"limits\.output is {most + 1}; {most} is the most"):
        permitted.check(JobSpec("true", limits=Limits(output=most + 1)))


@pytest.mark.parametrize(
    ("lines", "user", "least"),
    [
        pytest.param("", None, -20, id="as the service itself"),
        pytest.param("jobUser: nobody", None, 0, id="as the user of all jobs"),
        pytest.param("users: [nobody]", "nobody", 0, id="as the one that is asked for"),
        pytest.param("jobUser: nobody\nmaxLimits: {nice: -5}", None, -5, id="configured"),
    ],
)
def test_no_job_of_another_user_gets_ahead_of_others_unless_configured(
    tmp_path: Path, lines: str, user: str | None, least: int
) -> None:
    if least < 0 and os.geteuid() != 0:
        pytest.skip("to get ahead of others needs root")
    file = tmp_path / "server.yaml"
    file.write_text(GOOD + lines)
    permitted = ServerConfig.load(file).permitted
    permitted.check(JobSpec("true", user=user, limits=Limits(nice=least)))
    with pytest.raises(InvalidRequest, match=r"least|must be -20 to 19"):
        permitted.check(JobSpec("true", user=user, limits=Limits(nice=least - 1)))


@pytest.mark.parametrize("user", [None, "nobody"])
def test_a_request_for_more_than_the_service_has_is_told_how_much_that_is(user: str | None) -> None:
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    said = f"limits.openFiles {2**40} is above what the service may give: its own limit is {own}"
    with pytest.raises(InvalidRequest, match=said):
        Permitted(users=frozenset({"nobody"})).check(
            JobSpec("true", user=user, limits=Limits(open_files=2**40))
        )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] == own
