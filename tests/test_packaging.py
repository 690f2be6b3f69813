"""What is published is the packages and nothing else, and it runs where only it is installed."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Final

import pytest

from certs.testset import make_test_set
from tests.e2e.service import PATIENCE_S

pytestmark = [pytest.mark.every_python, pytest.mark.timeout(300)]  # pip fetches what it needs

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = {
    *("certs", "cli", "gen", "gen/workerservice", "worker", "worker/client", "worker/jobs"),
    *("worker/keeper", "worker/rpc", "worker/server"),
}
PROJECT: Final = {
    *("ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"),
    *("SECURITY.md", "proto/workerservice.proto", "pyproject.toml", "setup.cfg"),
}
BUILD: Final = """
from setuptools import build_meta
build_meta.build_wheel("dist")
build_meta.build_sdist("dist")
"""
IMPORT_ALL: Final = """
import importlib, pkgutil
from worker import *
for top in ("certs", "cli", "gen", "worker"):
    for module in pkgutil.walk_packages(importlib.import_module(top).__path__, f"{top}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
SERVER: Final = """
listenAddress: localhost:0
clientCA: keys/ca.pem
serverCertificate: keys/server.pem
serverKey: keys/server.key
stateDirectory: state
"""
CLIENT: Final = """
serverAddress: {address}
serverCA: keys/ca.pem
clientCertificate: keys/alice.pem
clientKey: keys/alice.key
"""


def checkout() -> list[PurePath]:
    """What a commit of everything would hold."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    command += [":!certs/mine", ":!certs/test"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [PurePath(name) for name in names.split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of wheel and sdist, of a checkout in which people have made keys."""
    source = tmp_path_factory.mktemp("source")
    for name in checkout():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for folder in ("test", "mine"):
        make_test_set(source / "certs" / folder, datetime.now(UTC))
    subprocess.run([sys.executable, "-c", BUILD], cwd=source, check=True, capture_output=True)
    return source / "dist"


def wheel_of(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


def in_wheel(dist: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel_of(dist)) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def in_sdist(dist: Path) -> dict[str, bytes]:
    """Without the folder that holds all."""
    (file,) = dist.glob("*.tar.gz")
    with tarfile.open(file) as sdist:
        contents = {each.name: sdist.extractfile(each) for each in sdist if each.isfile()}
        return {name.partition("/")[2]: file.read() for name, file in contents.items() if file}


def beyond_metadata(contents: Mapping[str, bytes]) -> set[str]:
    """The names that aren't of setuptools' own *.dist-info or *.egg-info."""
    return {name for name in contents if not PurePath(name).parts[0].endswith("-info")}


def sources() -> set[str]:
    of_packages = {name for name in checkout() if str(name.parent) in PACKAGES}
    return {str(name) for name in of_packages if name.suffix == ".py"} | {"worker/py.typed"}


def test_the_wheel_holds_the_packages_and_nothing_else(dist: Path) -> None:
    assert beyond_metadata(in_wheel(dist)) == sources()
    assert {str(PurePath(name).parent) for name in sources()} == PACKAGES


def test_the_sdist_holds_what_the_wheel_is_built_of_and_nothing_else(dist: Path) -> None:
    assert beyond_metadata(in_sdist(dist)) == sources() | PROJECT


def test_no_key_is_published(dist: Path) -> None:
    for contents in (in_wheel(dist), in_sdist(dist)):
        assert not [name for name, content in contents.items() if b"PRIVATE KEY--" in content]
        assert not [name for name in contents if name.endswith((".key", ".pem"))]


@dataclass(frozen=True)
class Installation:
    """Of the wheel and its dependencies alone, and a folder to work in."""

    programs: Path
    folder: Path

    def popen(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(self.programs), os.defpath])
        return subprocess.Popen(
            [self.programs / program, *arguments],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def printed(self, program: str, *arguments: str) -> str:
        with self.popen(program, *arguments) as process:
            printed, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        return printed

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address; ended by SIGTERM, which must be a success."""
        with self.popen("workerserver", "--config", "workerserver.yaml") as server:
            try:
                assert server.stdout
                yield server.stdout.readline().removeprefix("listening on ").strip()
                server.terminate()
                assert server.wait(PATIENCE_S) == 0
            finally:
                server.kill()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, dist: Path) -> Installation:
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-compile", str(wheel_of(dist))], check=True)
    return Installation(environment / "bin", folder)


@pytest.mark.parametrize(
    ("program", "option", "says"),
    [
        ("workerserver", "--version", "0.1.0"),
        ("workerclient", "--help", "Run processes on a workerserver"),
        ("workercerts", "--help", "Certificates for a workerserver and its clients"),
    ],
)
def test_an_installed_program_says_what_it_is(
    installed: Installation, program: str, option: str, says: str
) -> None:
    assert says in installed.printed(program, option)


def test_no_module_needs_a_package_that_isnt_declared(installed: Installation) -> None:
    installed.printed("python", "-c", IMPORT_ALL)


def test_what_is_installed_serves_and_runs_a_job(installed: Installation) -> None:
    installed.printed("workercerts", "authority", "keys")
    installed.printed("workercerts", "server", "keys", "--name", "localhost")
    installed.printed("workercerts", "client", "keys", "alice", "--role", "full")
    (installed.folder / "workerserver.yaml").write_text(SERVER)
    with installed.serving() as address:
        (installed.folder / "workerclient.yaml").write_text(CLIENT.format(address=address))
        job = installed.printed("workerclient", "start", "--", "seq", "1", "10000").strip()
        output = installed.printed("workerclient", "stream", "-j", job)
        assert output == "".join(f"{number}\n" for number in range(1, 10_001))
        installed.printed("workerclient", "stop", "-j", job)
