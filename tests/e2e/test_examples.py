"""The examples do what their README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.service import PATIENCE_S, Service

EXAMPLES = Path(__file__).parents[2] / "examples"
ID = "[0-9a-f-]{36}"


def run(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture
def folder(shared: Service, tmp_path: Path) -> Path:
    """With a workerclient.yaml."""
    certificates = shared.certificates
    (tmp_path / "workerclient.yaml").write_text(
        f"serverAddress: {shared.address}\n"
        f"serverCA: {certificates}/ca.pem\n"
        f"clientCertificate: {certificates}/full.pem\n"
        f"clientKey: {certificates}/full.key\n"
    )
    return tmp_path


def test_client_shows_the_output_and_ends_with_the_exit_code(folder: Path) -> None:
    end = run(folder, "client.py", "workerclient.yaml", "sh", "-c", "seq 3; exit 7")
    assert (end.returncode, end.stdout) == (7, "1\n2\n3\n")
    assert re.fullmatch(f"started {ID}\n", end.stderr)


def test_client_says_in_one_sentence_what_is_wrong(folder: Path) -> None:
    end = run(folder, "client.py", "workerclient.yaml", "/no/such")
    assert (end.returncode, end.stdout) == (1, "")
    assert end.stderr.startswith("/no/such: ")


def test_stub_starts_follows_stops_and_queries(folder: Path) -> None:
    end = run(folder, "stub.py", "workerclient.yaml")
    assert (end.returncode, end.stderr) == (0, "")
    assert re.fullmatch(f"hello\n{ID} STOPPED 143\n", end.stdout)


def test_library_runs_one_job_and_stops_another(tmp_path: Path) -> None:
    end = run(tmp_path, "library.py", "state")
    assert (end.returncode, end.stderr.count("\n")) == (0, 1)  # the keeper's word of how it works
    printed = re.sub(f"^{ID}: ", "", end.stdout, flags=re.MULTILINE)
    assert printed == "1\n2\n3\nexited, exit code 0\nstopped, exit code 143\n"


@pytest.mark.parametrize("name", ["client.py", "library.py", "stub.py"])
def test_without_arguments_each_says_how_it_is_called(tmp_path: Path, name: str) -> None:
    end = run(tmp_path, name)
    assert (end.returncode, end.stdout) == (1, "")
    assert end.stderr.startswith(f"usage: python examples/{name} ")


def test_the_readme_tells_of_each() -> None:
    told = re.findall(r"^\*\*`(\w+\.py)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(file.name for file in EXAMPLES.glob("*.py"))
