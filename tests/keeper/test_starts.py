"""A start by a real keeper: what can't be executed says why, what can starts clean and once."""

import os
from pathlib import Path

import pytest

from tests.keeper.driver import Driver, signals
from worker.keeper.messages import Done, List, ListEnd, Refused

pytestmark = pytest.mark.every_python


@pytest.mark.parametrize(
    ("command", "text"),
    [
        pytest.param("no-such", "no-such: not found in PATH (/usr/bin:/bin)", id="in PATH"),
        pytest.param("/no/such", "/no/such: not found", id="by path"),
        pytest.param("/etc/passwd/x", "a part of the path is not a directory", id="file as folder"),
        pytest.param("/tmp", "/tmp: is a directory", id="a directory"),
        pytest.param("{}/plain", "plain: not executable", id="without the x bit"),
        pytest.param("{}/bad", "interpreter /no/interp is missing", id="interpreter missing"),
        pytest.param("{}/text", "not a program", id="text without an interpreter line"),
        pytest.param("", "invalid argument", id="an empty name"),
    ],
)
def test_what_can_not_be_executed_says_why(
    driver: Driver, tmp_path: Path, command: str, text: str
) -> None:
    for name, content, mode in (
        ("plain", "#!/bin/sh\n", 0o644),
        ("bad", "#!/no/interp -x\n", 0o755),
        ("text", "hello\n", 0o755),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    assert text in driver.refusal(command.format(tmp_path)).text


def test_a_directory_that_is_missing_is_named(driver: Driver) -> None:
    assert driver.refusal("ls", directory="/no/dir").text == "working directory /no/dir: not found"


def test_a_path_of_tens_of_thousands_of_folders_starts_no_second_keeper(driver: Driver) -> None:
    assert "not executable" in driver.refusal("passwd", path=":" * 66000 + "/etc").text
    folders = ":".join(f"/{number}" for number in range(20000))
    assert "not found in PATH" in driver.refusal("passwd", path=f"{folders}:/etc").text
    assert driver.ended(driver.spawn("true"))["code"] == 0


def test_a_fifo_in_place_of_a_program_holds_nothing_up(driver: Driver, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o644)
    assert "not executable" in driver.refusal(str(tmp_path / "fifo")).text
    (tmp_path / "fifo").chmod(0o755)
    assert str(tmp_path / "fifo") in driver.refusal(str(tmp_path / "fifo")).text


def test_the_child_starts_clean(driver: Driver) -> None:
    job = driver.spawn(
        "sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; umask"
    )
    driver.ended(job)
    blocked, ignored, *lines = driver.file(job, "output").decode().split("\n")
    assert (signals(blocked), signals(ignored)) == (0, 0)
    assert lines == ["0", "1", "2", "0022", ""]


def test_arguments_and_environment_pass_unchanged(driver: Driver) -> None:
    odd = ["", " ", "a\nb", "-x", "ä€🙂", "\udcff\udc80"]
    job = driver.spawn("printf", "%s|", *odd, environment={"PATH": "/bin", "ODD": "\udcfe=1"})
    driver.ended(job)
    assert driver.file(job, "output") == "".join(f"{text}|" for text in odd).encode(
        errors="surrogateescape"
    )
    job = driver.spawn("env", environment={"ODD": "\udcfe=1"})
    driver.ended(job)
    assert driver.file(job, "output") == b"ODD=\xfe=1\n"


def test_asked_twice_it_is_started_once(driver: Driver) -> None:
    request = driver.request("sh", "-c", "echo once")
    driver.send(request)
    driver.send(request)
    assert driver.wait(Done, Refused) == driver.wait(Done, Refused) == Done(request.ask)
    driver.ended(request.job)
    driver.send(request)
    answer = driver.wait(Done, Refused)
    assert isinstance(answer, Refused)
    assert answer.refusal == "exists"
    assert driver.file(request.job, "output") == b"once\n"


def test_the_list_names_what_was_refused_of_late(driver: Driver) -> None:
    """A server that couldn't forget one must not start it."""
    asked = [driver.request("no-such") for _ in range(2)]
    for request in asked:
        driver.send(request)
        driver.wait(Refused)
    driver.spawn("true")
    driver.send(List())
    assert driver.wait(ListEnd).refused == [request.job for request in asked]
