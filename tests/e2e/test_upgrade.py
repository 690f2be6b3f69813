"""An upgrade of the whole package under running jobs is one signal; a broken one is refused."""

import asyncio
import os
import re
import shutil
import signal
import site
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for, text_of
from tests.e2e.service import Service, configured, serving, wait_log

ROOT = Path(__file__).parents[2]
COUNT = 3000


@dataclass(frozen=True)
class Installed:
    """A copy of the package, in an environment of its own."""

    code: Path
    python: Path

    def change(self, module: str, before: str, after: str) -> None:
        path = self.code / module
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    code = tmp_path / "code"
    for package in ("worker", "gen", "certs", "cli"):
        ignored = shutil.ignore_patterns("__pycache__", "test")
        shutil.copytree(ROOT / package, code / package, ignore=ignored)
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    others = [path for path in (*site.getsitepackages(), *sys.path) if "site-packages" in path]
    (packages / "code.pth").write_text("\n".join([str(code), *dict.fromkeys(others)]))
    return Installed(code, environment / "bin" / "python")


@pytest.fixture
def service(tmp_path: Path, certificates: Path, installed: Installed) -> Iterator[Service]:
    program = "import sys; from worker.server.main import main; sys.exit(main())"
    # What `serving` executes is given to this python as arguments that it leaves out.
    leave_out = f"import sys; del sys.argv[1]; {program}"
    assert configured(tmp_path, certificates).exists()
    before = [str(installed.python), "-I", "-c", leave_out]
    with serving(tmp_path, certificates, before=before) as started:
        yield started


async def test_new_code_serves_and_no_byte_is_lost(
    service: Service, installed: Installed, tmp_path: Path
) -> None:
    async with client_for(service) as client:
        script = f"for i in $(seq {COUNT}); do echo $i; done; read x < {tmp_path}/go; exit 7"
        await asyncio.create_subprocess_exec("mkfifo", tmp_path / "go")
        job = await client.start("bash", "-c", script)
        reading = asyncio.create_task(text_of(job))
        installed.change("worker/server/serve.py", "listening on {where}", "upgraded on {where}")
        installed.change("worker/keeper/main.py", "SIGHUP: replaced;", "SIGHUP: upgraded;")
        pid = service.keeper.pid
        service.keeper.send_signal(signal.SIGHUP)
        assert (await asyncio.to_thread(service.line)).startswith("upgraded on ")
        assert service.keeper.pid == pid
        await asyncio.to_thread(wait_log, service, "SIGHUP: upgraded; jobs that go on: 1")
        await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        assert (await reading).split() == [b"%d" % number for number in range(1, COUNT + 1)]
        assert (await job.wait()).exit_code == 7


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        pytest.param("worker/keeper/job.py", "class Job:", "class Job", id="the keeper's syntax"),
        pytest.param("worker/keeper/main.py", "import os\n", "import nowhere\n", id="its import"),
        pytest.param("worker/server/service.py", "import Registry", "import X", id="the server's"),
    ],
)
async def test_what_can_not_be_imported_changes_nothing(
    service: Service, installed: Installed, module: str, before: str, after: str
) -> None:
    async with client_for(service) as client:
        job = await client.start("sleep", "60")
        server = service.server_pid
        installed.change(module, before, after)
        size = service.log.stat().st_size
        service.keeper.send_signal(signal.SIGHUP)
        await asyncio.to_thread(wait_log, service, "nothing was replaced")
        assert service.server_pid == server
        why, _ = service.log.read_text()[size:].splitlines()
        assert re.search(r" a fault of ours: \w+Error: .*/code/worker/\S+\.py:\d+", why)
        await job.stop()
        assert (await job.wait()).signal == "SIGTERM"
        installed.change(module, after, before)
        service.keeper.send_signal(signal.SIGHUP)
        assert (await asyncio.to_thread(service.line)).startswith("listening on ")


@pytest.mark.parametrize(
    ("module", "before", "after", "said"),
    [
        pytest.param(
            "worker/server/serve.py",
            "    given = Started.parsed()\n",
            '    raise RuntimeError("boom")\n',
            r"RuntimeError: boom \(\S+/serve\.py:\d+ < \S+/entrance\.py:\d+\)",
            id="a fault",
        ),
        pytest.param(
            "worker/server/service.py",
            "import Registry",
            "import X",
            r"ImportError: cannot import name 'X' .* \(\S+/service\.py:\d+ < .*\)",
            id="what can't be imported",
        ),
    ],
)
async def test_code_that_can_not_serve_is_a_line_at_each_start(
    service: Service, installed: Installed, module: str, before: str, after: str, said: str
) -> None:
    """And one of the keeper's, on the next."""
    size = service.log.stat().st_size
    installed.change(module, before, after)
    os.kill(service.server_pid, signal.SIGKILL)
    await asyncio.to_thread(wait_log, service, "next start in 0.4 s")
    _, *lines = service.log.read_text()[size:].splitlines()
    assert len(lines) > 2
    for why, then in zip(lines[::2], lines[1::2], strict=False):
        assert re.search(rf" ERROR \S+: a fault of ours: {said}$", why)
        assert " keeper: the server ended with status 1: next start in " in then
    installed.change(module, after, before)
    assert (await asyncio.to_thread(service.line)).startswith("listening on ")
