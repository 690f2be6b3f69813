"""What holds for every verb: configuration, statuses, and where bytes go."""

import os
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.statuses import MEANING, STATUS, ExitStatus, exit_status
from gen import workerservice as wire
from tests.cli.program import Program
from tests.client.scripted import answering, serving
from worker import errors

ID = "0b5f7cf2-5b0c-4ef0-a4ef-f2c0ae3b5c0c"
STATUS_OF_LS = wire.QueryStatusResponse(command_name="ls", job_status=wire.JobStatus["RUNNING"])


def test_every_status_has_a_meaning_that_help_shows(program: Program) -> None:
    assert set(MEANING) == set(ExitStatus)
    shown = program.run("--help")
    assert (shown.status, shown.stderr) == (0, b"")
    for status, meaning in MEANING.items():
        assert f"{status.value}  {meaning}" in shown.stdout.decode()


def test_the_version_is_that_of_the_package(program: Program) -> None:
    shown = program.run("--version")
    assert (shown.status, shown.stdout.decode()) == (0, f"{version('job-worker')}\n")


def test_every_error_has_a_status_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, errors.WorkerError) and kind is not errors.WorkerError:
            assert any(parent in STATUS for parent in kind.__mro__), kind
    assert exit_status(errors.Incomplete("")) is ExitStatus.UNAVAILABLE
    assert exit_status(errors.CannotExecute("")) is ExitStatus.REFUSED


async def test_help_of_each_verb_shows_an_example(program: Program) -> None:
    verbs = ["start", "stop", "query", "stream"]
    for verb, shown in zip(
        verbs, await program.at_once(*([verb, "--help"] for verb in verbs)), strict=True
    ):
        assert shown.status == 0
        assert f"  workerclient {verb} ".encode() in shown.stdout


@pytest.mark.parametrize(
    ("job", "of_wire"),
    [pytest.param(ID, ID, id="dashes"), pytest.param(ID.replace("-", "").upper(), ID, id="none")],
)
async def test_ids_are_taken_with_and_without_dashes(
    program: Program, certificates: Path, job: str, of_wire: str
) -> None:
    async with serving(certificates, QueryStatus=answering(STATUS_OF_LS)) as config:
        program.configure(config)
        result = await program.aside("query", "-j", job)
    assert result.status == 0
    assert of_wire in result.stdout.decode()


@pytest.mark.parametrize(
    ("name", "arguments", "variables"),
    [
        pytest.param(
            "a.yaml", ["--config", "a.yaml"], {"WORKERCLIENT_CONFIG": "none"}, id="option"
        ),
        pytest.param("b.yaml", [], {"WORKERCLIENT_CONFIG": "b.yaml"}, id="variable"),
        pytest.param("workerclient.yaml", [], {}, id="current directory"),
        pytest.param(".config/workerclient/workerclient.yaml", [], {}, id="configuration folder"),
    ],
)
async def test_the_configuration_is_found(
    program: Program,
    certificates: Path,
    name: str,
    arguments: list[str],
    variables: dict[str, str],
) -> None:
    program = replace(program, environment=variables)
    async with serving(certificates, QueryStatus=answering(STATUS_OF_LS)) as config:
        program.configure(config, name)
        result = await program.aside(*arguments, "query", "-j", ID)
    assert (result.status, result.stderr) == (0, b"")


async def test_proxies_of_the_environment_dont_matter(program: Program, certificates: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY", "grpc_proxy"), nowhere)
    program = replace(program, environment=proxies)
    async with serving(certificates, Stop=answering(wire.StopResponse())) as config:
        program.configure(config)
        result = await program.aside("stop", "-j", ID)
    assert (result.status, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="C"),
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ASCII"),
        pytest.param({"PYTHONIOENCODING": "iso-8859-1"}, id="ISO-8859-1"),
    ],
)
async def test_any_locale_can_show_any_command(
    program: Program, certificates: Path, variables: dict[str, str]
) -> None:
    program = replace(program, environment=variables)
    answer = wire.QueryStatusResponse(command_name="ä€🙂")
    async with serving(certificates, QueryStatus=answering(answer)) as config:
        program.configure(config)
        result = await program.aside("query", "-j", ID)
    assert (result.status, result.stderr) == (0, b"")
    assert rb"\u20ac\U0001f642" in result.stdout


def test_a_configuration_whose_name_isnt_utf8(program: Program) -> None:
    result = program.run("--config", b"/\xff.yaml", "query", "-j", ID)
    assert result.status == ExitStatus.SETUP
    assert r"/\udcff.yaml: No such file" in result.said


@pytest.mark.parametrize("verb", ["--help", "query"])
async def test_a_reader_that_went_away_is_no_complaint(
    program: Program, certificates: Path, verb: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    async with serving(certificates, QueryStatus=answering(STATUS_OF_LS)) as config:
        program.configure(config)
        arguments = [verb] if verb == "--help" else [verb, "-j", ID]
        result = await program.aside(*arguments, stdout=writer)
    os.close(writer)
    assert (result.status, result.stderr) == (ExitStatus.READER_GONE, b"")


@pytest.mark.parametrize(
    ("closed", "status", "stdout"),
    [
        pytest.param("<&-", ExitStatus.DONE, "command", id="stdin"),
        pytest.param("2>&-", ExitStatus.DONE, "command", id="stderr"),
        pytest.param("<&- 2>&-", ExitStatus.DONE, "command", id="stdin and stderr"),
        pytest.param(">&-", ExitStatus.CANNOT_WRITE, "", id="stdout"),
        pytest.param("<&- >&- 2>&-", ExitStatus.CANNOT_WRITE, "", id="all"),
    ],
)
async def test_closed_descriptors_never_become_the_connection(
    program: Program, certificates: Path, closed: str, status: ExitStatus, stdout: str
) -> None:
    async with serving(certificates, QueryStatus=answering(STATUS_OF_LS)) as config:
        program.configure(config)
        result = await replace(program, redirected=closed).aside("query", "-j", ID)
    assert result.status == status
    assert stdout in result.stdout.decode()
    assert (b"can't write to stdout: Bad file descriptor" in result.stderr) == (closed == ">&-")
