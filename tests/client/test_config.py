from pathlib import Path

import pytest

from worker.client import ClientConfig
from worker.errors import BadConfig
from worker.settings import Address

GOOD = """\
serverAddress: localhost:5000
serverCA: ca.pem
clientCertificate: /etc/client.pem
clientKey: keys/client.key
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "workerclient.yaml"
    path.write_text(text)
    return path


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    assert ClientConfig.load(write(tmp_path, GOOD)) == ClientConfig(
        Address("localhost", 5000),
        tmp_path / "ca.pem",
        Path("/etc/client.pem"),
        tmp_path / "keys" / "client.key",
    )


def test_a_path_may_be_given_as_text(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert ClientConfig.load(str(path)) == ClientConfig.load(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(GOOD.replace("serverCA", "serverCa"), "serverCa", id="unknown key"),
        pytest.param(GOOD.replace("clientKey: keys/client.key", ""), "clientKey", id="missing key"),
        pytest.param(GOOD.replace("localhost:5000", "localhost"), "serverAddress", id="no port"),
        pytest.param(GOOD.replace("localhost:5000", "5000"), "serverAddress", id="wrong type"),
        pytest.param(GOOD.replace("ca.pem", "[ca.pem]"), "serverCA", id="a list"),
        pytest.param(GOOD.replace("ca.pem", "''"), "serverCA", id="an empty text"),
        pytest.param(GOOD + "}", "line 5", id="broken YAML"),
        pytest.param("", "serverAddress", id="an empty file"),
    ],
)
def test_what_cant_be_used_is_one_sentence_that_names_file_and_key(
    tmp_path: Path, text: str, named: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadConfig) as refused:
        ClientConfig.load(path)
    sentence = str(refused.value)
    assert sentence.startswith(f"{path}: ")
    assert named in sentence
    assert "\n" not in sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"/none\.yaml: No such file or directory"):
        ClientConfig.load(tmp_path / "none.yaml")
