"""docs/cli.md says what the program does."""

import json
import os
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from typer.main import get_command

from cli.app import app
from cli.lines import Lines, Look
from cli.render import as_json
from cli.statuses import MEANING
from tests.cli.program import PROGRAM, TIMEOUT, Program
from tests.cli.test_render import ENDED
from worker.client.channel import CLOSE_TIMEOUT, KEEPALIVE_TIME, KEEPALIVE_TIMEOUT
from worker.client.client import PATIENCE, SHORT_PATIENCE
from worker.limits import EnforcedLimit, Enforcement
from worker.state import Chunk, Stream

ALL_KNOWN = replace(
    ENDED,
    limits=(EnforcedLimit("time", 2.5, Enforcement.KEEPER),),
    revision=9,
    paused=True,
    removed=True,
)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    text = DOCUMENT.split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table
    return [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in table[0].splitlines()[2:]]


def test_every_verb_is_there() -> None:
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    assert [row[0] for row in rows("# workerclient")] == list(verbs)
    told = DOCUMENT.split("## Verbs", 1)[1].split("\n## ", 1)[0]
    for verb, command in verbs.items():
        usage = re.search(rf"^workerclient {verb} +(.*(?:\n +.*)*)", told, re.MULTILINE)
        assert usage, verb
        options = {max(each.opts, key=len) for each in command.params if each.opts[0][0] == "-"}
        shared = set(re.findall(r"--[a-z-]+", told.split("START OPTIONS:")[1].split("```")[0]))
        named = set(re.findall(r"--[a-z-]+", usage[1]))
        assert options <= named | {"--job"} | (shared if "START OPTIONS" in usage[1] else set())
        short = {name for each in command.params for name in each.opts if re.match("-[a-z]", name)}
        assert short - {"-j"} <= set(re.findall(r"(?<=\()-[a-z](?=\))", usage[1])), verb


def test_what_went_wrong_is_told_so(connected: Program) -> None:
    """The last session, as it goes here: but for a limit that is kept where its controller is."""
    session = DOCUMENT.rsplit("```\n", 2)[1]
    for command, told in re.findall(r"^\$ (.*)\n((?:[^$].*\n)+)", session, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=connected.folder,
            env={"PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.stdout == told or ("--memory" in command and done.returncode == 0)


def test_every_status_is_there() -> None:
    found = {int(row[0]): row[1] for row in rows("## Exit statuses")}
    plain = {status: text.replace("`\\|", "|").replace("`", "") for status, text in found.items()}
    assert plain == {status.value: meaning for status, meaning in MEANING.items()}


def test_every_key_of_the_json_is_there() -> None:
    told, table = json.loads(as_json(ALL_KNOWN)), rows("## The shape of")
    assert [row[0] for row in table] == list(told)
    for name in told["output"]:
        assert f"`{name}`" in table[-1][3]
    for key in ("usage", "limits"):
        (row,) = [row for row in table if row[0] == key]
        for name in told[key][0] if key == "limits" else told[key]:
            assert f"`{name}`" in row[3]


def test_every_key_of_a_line_of_output_is_there() -> None:
    lines = Lines(uuid4(), Look(json=True))
    chunk = Chunk(b"one\n", 7, Stream.STDOUT, datetime.now(UTC), skipped=7)
    gap, line = (json.loads(data) for _, data in lines.take(chunk))
    assert [row[0] for row in rows("## The lines of")] == list(line | gap)


def test_the_times_are_those_of_the_client() -> None:
    silence = KEEPALIVE_TIME + KEEPALIVE_TIMEOUT + CLOSE_TIMEOUT
    assert f"after {silence:.0f} s at most" in DOCUMENT
    assert f"After {PATIENCE:.0f} s without progress ({SHORT_PATIENCE:.0f} s for" in DOCUMENT


def test_a_directory_as_stdin_is_refused_by_python_itself() -> None:
    command = f"exec {PROGRAM} ls < /"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert re.match(r"Fatal Python error.* is a directory", ended.stderr)
    assert '"Fatal Python error ... is a directory", and status 1' in DOCUMENT
