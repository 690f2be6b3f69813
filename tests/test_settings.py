"""A configuration file: what is taken, and the one sentence for what isn't."""

from pathlib import Path

import pytest

from worker.errors import BadConfig
from worker.settings import Address, Settings

REQUIRED = {"name": str, "address": str}
OPTIONAL = {"count": int, "seconds": float}
GOOD = "name: x\naddress: localhost:5000\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "must hold the keys name, address", id="nothing"),
        pytest.param("- name", "must hold the keys", id="a list"),
        pytest.param("name: x\n", "the key address is missing", id="a missing key"),
        pytest.param(GOOD + "nmae: y\n", "unknown key 'nmae'; the keys are name", id="unknown key"),
        pytest.param(GOOD + "1: y\n", "unknown key 1", id="a key that is no text"),
        pytest.param(
            GOOD + "name: y\n", r"not YAML: name is given twice \(line 3\)", id="a key given twice"
        ),
        pytest.param("name: [\n", "not YAML: .*line 2", id="broken YAML"),
        pytest.param("name: \t\n", "not YAML: .*line 1", id="a tab"),
        pytest.param("name: 2024-02-30\n", "not YAML: ", id="a day that doesn't exist"),
        pytest.param("name: !!python/name:os.system x\n", "not YAML: ", id="a tag of Python's"),
        pytest.param("[" * 5000, "not YAML: ", id="nested too deep"),
        pytest.param("\x00", "not YAML: ", id="a NUL"),
        pytest.param("name: 5\n", "name must be a text, not 5", id="a number for a text"),
        pytest.param("name:\n", "name must be a text, not None", id="nothing for a text"),
        pytest.param("name: ''\n", "name must be a text, not ''", id="an empty text"),
        pytest.param('name: "a\\0b"\n', "name must be a text", id="a NUL in a text"),
        pytest.param(GOOD + "count: 1.5\n", "count must be a whole number", id="1.5 for a whole"),
        pytest.param(GOOD + "count: yes\n", "count must be a whole number, not True", id="yes"),
        pytest.param(GOOD + "seconds: ten\n", "seconds must be a number, not 'ten'", id="ten"),
    ],
)
def test_a_fault_is_one_sentence_with_the_file(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(BadConfig, match=f"^{file}: {complaint}") as refusal:
        Settings.load(file, REQUIRED, OPTIONAL)
    assert "\n" not in str(refusal.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(BadConfig, match=f"^{file}: not YAML"):
        Settings.load(file, REQUIRED)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match=f"^{tmp_path / name}: (No such file|Is a directory)"):
        Settings.load(tmp_path / name, REQUIRED)


def test_the_values_and_paths_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ä ö.yaml"
    file.write_text(GOOD + "seconds: 3\n", encoding="utf-8")
    settings = Settings.load(file, REQUIRED, OPTIONAL)
    assert settings.file("name") == tmp_path / "x"
    assert settings.address("address") == Address("localhost", 5000)
    assert (settings.number("seconds", 1.0), settings.number("count", 7)) == (3, 7)


@pytest.mark.parametrize("value", ["-1", "-0.5", ".nan", ".inf", str(10**400)])
def test_a_number_is_0_or_more_and_exact(tmp_path: Path, value: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{GOOD}seconds: {value}\n")
    with pytest.raises(BadConfig, match=f"^{file}: seconds must be 0 to 9007199254740992"):
        Settings.load(file, REQUIRED, OPTIONAL).number("seconds", 1.0)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:5000", Address("localhost", 5000)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("[fe80::1%lo]:1", Address("fe80::1%lo", 1)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert Address.parsed(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":5000", "localhost:", "localhost:x", "localhost:65536", "::1:5000", "a b:1"],
)
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"name: x\naddress: '{text}'\n")
    with pytest.raises(BadConfig, match=f"^{file}: address"):
        Settings.load(file, REQUIRED).address("address")
