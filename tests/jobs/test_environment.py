"""A job sees its user's surroundings and the request's, never ours."""

import os
import pwd
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from worker.jobs.environment import User
from worker.spec import JobSpec

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_the_environment_is_exactly_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", "/nowhere")
    job_id, me = uuid4(), pwd.getpwuid(os.geteuid())
    assert User.current().environment(JobSpec("ls"), job_id) == {
        "HOME": me.pw_dir,
        "USER": me.pw_name,
        "LOGNAME": me.pw_name,
        "SHELL": me.pw_shell,
        "PATH": User.current().path,
        "LANG": "C.UTF-8",
        "WORKER_JOB_ID": str(job_id),
    }


def test_the_request_counts_except_for_the_job_id() -> None:
    job_id = uuid4()
    asked = {"PATH": "/opt/bin", "LANG": "de_DE.UTF-8", "X": "1", "WORKER_JOB_ID": "mine"}
    environment = User.current().environment(JobSpec("ls", environment=asked), job_id)
    assert environment.items() >= {**asked, "WORKER_JOB_ID": str(job_id)}.items()


def test_only_root_has_the_sbin_folders() -> None:
    assert User.of(0).path == ROOT_PATH
    assert User.of(54321).path == "/usr/local/bin:/usr/bin:/bin"


def test_a_uid_without_an_entry_has_a_number_for_a_name() -> None:
    assert User.of(54321) == User("54321", "/", "/bin/sh", "/usr/local/bin:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("home", "asked", "directory"),
    [
        pytest.param("/", None, "/", id="the home"),
        pytest.param("/nonexistent", None, "/", id="no such home"),
        pytest.param("/", "/no/such", "/no/such", id="what the request says, there or not"),
    ],
)
def test_the_directory_is_the_home_unless_asked(
    home: str, asked: str | None, directory: str
) -> None:
    user = User("daemon", home, "/bin/sh", "/bin")
    assert user.directory(JobSpec("ls", working_directory=asked)) == directory


def test_a_home_that_can_not_be_reached_is_as_if_there_were_none(tmp_path: Path) -> None:
    asks = (
        "import os, sys\n"
        "from worker.jobs.environment import User\n"
        "from worker.spec import JobSpec\n"
        "os.geteuid() or os.setuid(65534)\n"  # for root no way is closed
        "print(User('u', sys.argv[1], '/bin/sh', '/bin').directory(JobSpec('ls')), end='')\n"
    )
    tmp_path.chmod(0)
    try:
        directory = subprocess.check_output([sys.executable, "-c", asks, tmp_path / "home"])
    finally:
        tmp_path.chmod(0o700)
    assert directory == b"/"
