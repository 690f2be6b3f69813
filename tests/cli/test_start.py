"""Which of the arguments of `start` are ours, and which the job's."""

from pathlib import Path
from typing import Any

import pytest
import typer

from cli.app import app
from cli.spec import lines_of, pair
from worker.errors import BadConfig


def parsed(*arguments: str) -> dict[str, Any]:
    """The parameters that `start` is called with."""
    command: Any = typer.main.get_command(app)
    parameters: dict[str, Any] = (
        command.commands["start"].make_context("start", list(arguments)).params
    )
    return parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["ls"], ["ls"], id="a command alone"),
        pytest.param(["ls", "-args", "-la", "/tmp"], ["ls", "-la", "/tmp"], id="-args"),
        pytest.param(["--", "ls", "-la", "/tmp"], ["ls", "-la", "/tmp"], id="--"),
        pytest.param(["ls", "--", "-la"], ["ls", "-la"], id="-- after the command"),
        pytest.param(["ls", "-args"], ["ls"], id="-args without arguments"),
        pytest.param(["ls", "-args", "--"], ["ls", "--"], id="-- after -args is the job's"),
        pytest.param(["ls", "--", "-args"], ["ls", "-args"], id="-args after -- is the job's"),
        pytest.param(
            ["--", "printf", "[%s]", "--", "--", "-x"],
            ["printf", "[%s]", "--", "--", "-x"],
            id="a further -- is the job's",
        ),
        pytest.param(
            ["printf", "-args", "[%s]", "--", "-j", "1"],
            ["printf", "[%s]", "--", "-j", "1"],
            id="options of ours after -args are the job's",
        ),
        pytest.param(
            ["--", "x", "-h", "--help", "--json", "--merged", "--env", "-1", "", " ", "a\nb"],
            ["x", "-h", "--help", "--json", "--merged", "--env", "-1", "", " ", "a\nb"],
            id="all that follows -- stays as it is",
        ),
        pytest.param(["--", "-x"], ["-x"], id="a command may begin with a dash"),
        pytest.param(["", "-args", "x"], ["", "x"], id="an empty command is for the server"),
    ],
)
def test_what_follows_the_separator_reaches_the_job_untouched(
    arguments: list[str], words: list[str]
) -> None:
    assert parsed(*arguments)["words"] == words


def test_options_before_the_separator_are_ours() -> None:
    found = parsed("--env", "A=1", "--env", "B=", "--merged", "--grace-period", "2.5", "--", "ls")
    assert found["words"] == ["ls"]
    assert (list(found["env"]), found["merged"]) == (["A=1", "B="], True)
    assert found["grace_period"] == pytest.approx(2.5)


def test_a_grace_period_is_a_time() -> None:
    assert parsed("--grace", "1m", "--", "ls")["grace_period"] == pytest.approx(60)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["ls", "-la"], "'-la' follows the command", id="no separator"),
        pytest.param(["ls", "/tmp", "--", "x"], "'/tmp' follows the command", id="too late"),
        pytest.param(["ls", "--merged"], "options of start before the command", id="late option"),
        pytest.param([], "no command", id="nothing at all"),
        pytest.param(["--"], "no command", id="nothing after --"),
        pytest.param(["-args", "rm", "-rf"], "no command", id="an argument is no command"),
        pytest.param(["--bogus", "--", "ls"], "--bogus", id="an unknown option"),
        pytest.param(["-m", "--", "ls"], "-m", id="no short options"),
        pytest.param(["--grace-period", "-1", "--", "ls"], "grace-period", id="out of range"),
        pytest.param(["--grace-period", "x", "--", "ls"], "grace-period", id="no number"),
    ],
)
def test_what_cant_be_meant_is_an_error_that_says_so(arguments: list[str], sentence: str) -> None:
    with pytest.raises(typer.TyperException) as refused:
        parsed(*arguments)
    assert sentence in refused.value.format_message()


@pytest.mark.parametrize(
    ("text", "both"), [("A=1", ("A", "1")), ("A=", ("A", "")), ("A=b=c", ("A", "b=c"))]
)
def test_a_variable_is_split_at_the_first_equals_sign(text: str, both: tuple[str, str]) -> None:
    assert pair(text, "--env") == both


@pytest.mark.parametrize("line", ["export A=1", " A=1", "A =1", "=1", "A"])
def test_what_a_file_of_variables_cant_mean_is_refused_with_its_line(
    tmp_path: Path, line: str
) -> None:
    (tmp_path / "env").write_text(f"# these\n{line}\n")
    with pytest.raises(BadConfig, match="env: line 2"):
        list(lines_of(f"{tmp_path}/env"))


def test_values_in_a_file_stand_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(b"\xef\xbb\xbfA='q'\r\n\n  # no\nB=$A # b \n")
    assert dict(lines_of(f"{tmp_path}/env")) == {"A": "'q'", "B": "$A # b "}


def test_a_variable_without_equals_sign_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="NAME=VALUE"):
        pair("HOME", "--env")
