"""The installed workerserver, as a process, and what it leaves behind."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("workerserver"))
PATIENCE_S = 20
CONFIGURATION = """\
listenAddress: "{address}"
clientCA: {certificates}/ca.pem
serverCertificate: {certificates}/server.pem
serverKey: {certificates}/server.key
stateDirectory: state
"""


def configured(
    folder: Path, certificates: Path, address: str = "localhost:0", also: str = ""
) -> Path:
    """`also`: more lines."""
    file = folder / "server.yaml"
    file.write_text(CONFIGURATION.format(address=address, certificates=certificates) + also)
    return file


@dataclass(frozen=True)
class Service:
    keeper: subprocess.Popen[bytes]
    folder: Path
    log: Path
    address: str
    certificates: Path

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def server_pid(self) -> int:
        """Of the one process that has this name in its command line."""
        (pid,) = [
            pid
            for pid in processes_of(self.folder)
            if b"worker.server" in read(Path(f"/proc/{pid}/cmdline"))
        ]
        return pid

    def kill_server(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Return when the next one serves."""
        os.kill(self.server_pid, how)
        assert self.line() == f"listening on {self.address}\n"

    def line(self) -> str:
        """The next one on its stdout."""
        return line_of(self.keeper, self.log)

    def kill_keeper(self) -> None:
        """Return when server and jobs have ended, too."""
        pidfds = [os.pidfd_open(pid) for pid in processes_of(self.folder)]
        self.keeper.kill()
        for pidfd in pidfds:
            ended, _, _ = select.select([pidfd], [], [], PATIENCE_S)
            os.close(pidfd)
            assert ended
        self.keeper.wait()

    def end(self) -> int:
        """The exit status after SIGTERM."""
        self.keeper.send_signal(signal.SIGTERM)
        return self.keeper.wait(PATIENCE_S)


@contextmanager
def serving(
    folder: Path,
    certificates: Path,
    address: str = "localhost:0",
    also: str = "",
    before: Sequence[str] = (),
) -> Iterator[Service]:
    """`before`: a command that executes the rest.

    Ended by SIGTERM, which must be a success and leave neither process nor cgroup.
    """
    log = folder / "log"
    with log.open("ab") as stderr:
        keeper = subprocess.Popen(
            [*before, PROGRAM, "--config", configured(folder, certificates, address, also)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
        )
    with keeper:
        try:
            line = line_of(keeper, log)
            assert line.startswith("listening on "), log.read_text()
            service = Service(keeper, folder, log, line.split()[-1], certificates)
            yield service
            if keeper.poll() is None:
                assert service.end() == 0, log.read_text()
        finally:
            keeper.kill()
    left = {pid: read(Path(f"/proc/{pid}/status"))[:200] for pid in processes_of(folder)}
    assert left == {}
    if keeper.returncode == 0:  # after a kill they are swept by the next start
        assert cgroups_of(folder) == []
    assert "Traceback" not in log.read_text()


def reloaded(service: Service) -> None:
    """By SIGHUP. Return when the new server serves."""
    before = service.server_pid
    service.keeper.send_signal(signal.SIGHUP)
    assert service.line().startswith("listening on ")
    assert service.server_pid != before


def wait_log(service: Service, text: str) -> None:
    """Until its log says so."""
    wait_until(lambda: text in service.log.read_text(), service.log)


def wait_until(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        os.sched_yield()


def line_of(keeper: subprocess.Popen[bytes], log: Path) -> str:
    """The next line on its stdout."""
    assert keeper.stdout
    readable, _, _ = select.select([keeper.stdout], [], [], PATIENCE_S)
    assert readable, f"no line within {PATIENCE_S} s: {log.read_text()}"
    return keeper.stdout.readline().decode()


def processes_of(folder: Path) -> dict[int, int]:
    """The parent of each process that names `folder` in its command line, or is in its cgroup.

    Not of zombies: whose parent was killed, they are init's to reap.
    """
    name = cgroup_name(folder).encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        is_mine = bytes(folder) in read(entry / "cmdline") or name in read(entry / "cgroup")
        status = read(entry / "stat").rpartition(b")")[2].split()
        if is_mine and status and status[0] != b"Z":
            found[int(entry.name)] = int(status[1])
    return found


def cgroups_of(folder: Path) -> list[Path]:
    return list(Path("/sys/fs/cgroup").rglob(cgroup_name(folder)))


def cgroup_name(folder: Path) -> str:
    state = (folder / "state").stat()
    return f"job-worker-{state.st_dev:x}-{state.st_ino}"


def read(path: Path) -> bytes:
    """Of /proc: nothing where the process has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
