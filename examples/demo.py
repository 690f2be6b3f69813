"""`make demo`: every command shown is run; the status is 0 only if all came out as it must."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

BIN = Path(sys.executable).parent
CERTIFICATES = Path(__file__).parents[1] / "certs" / "test"
COUNT = 'for i in 1 2 3 4 5; do echo "line $i"; sleep 0.3; done'
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text: str) -> None:
    print(f"\n{BOLD}# {text}{PLAIN}", flush=True)


def must(came_true: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not came_true:
        sys.exit(f"demo: {what}")


def shown(*command: str) -> str:
    """Run a command, show it and each line that it prints; what it printed."""
    print(f"{BOLD}$ {shlex.join(command)}{PLAIN}", flush=True)
    printed = ""
    with subprocess.Popen([BIN / command[0], *command[1:]], stdout=subprocess.PIPE) as process:
        for line in process.stdout or ():
            print(line.decode(), end="", flush=True)
            printed += line.decode()
    must(process.returncode == 0, f"{command[0]} {command[1]} ended with {process.returncode}")
    return printed


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """A workerserver, and a configuration for workerclient; ended by SIGTERM."""
    config = folder / "workerserver.yaml"
    config.write_text(
        f"listenAddress: localhost:0\nclientCA: {CERTIFICATES}/ca.pem\n"
        f"serverCertificate: {CERTIFICATES}/server.pem\nserverKey: {CERTIFICATES}/server.key\n"
        f"stateDirectory: {folder}/state\n"
    )
    print(f"{BOLD}$ workerserver --config {config} &{PLAIN}", flush=True)
    command, log = [str(BIN / "workerserver"), "--config", str(config)], folder / "log"
    with (
        log.open("ab") as to,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=to) as server,
    ):
        first = (server.stdout.readline() if server.stdout else b"").decode()
        must(first.startswith("listening on "), f"the server didn't start: {log.read_text()}")
        print(first, end="")
        (folder / "workerclient.yaml").write_text(
            f"serverAddress: {first.split()[-1]}\nserverCA: {CERTIFICATES}/ca.pem\n"
            f"clientCertificate: {CERTIFICATES}/full.pem\nclientKey: {CERTIFICATES}/full.key\n"
        )
        os.environ["WORKERCLIENT_CONFIG"] = str(folder / "workerclient.yaml")
        try:
            yield
        finally:
            server.terminate()
            status = server.wait(timeout=30)
        must(status == 0, f"the server ended with {status}: {log.read_text()}")


def main() -> None:
    with TemporaryDirectory(prefix="job-worker-") as name:
        with serving(Path(name)):
            say("A job counts; its output is seen while it runs.")
            first = shown("workerclient", "start", "bash", "-args", "-c", COUNT).strip()
            since = time.monotonic()
            live = shown("workerclient", "stream", "-j", first)
            must(live == "".join(f"line {i}\n" for i in range(1, 6)), "output differs")
            must(time.monotonic() - since > 1, "the stream didn't wait for the job")
            must("exit code     0" in shown("workerclient", "query", "-j", first), "no success")

            say("Another one would run for long; it is stopped.")
            second = shown("workerclient", "start", "--", "sleep", "1000").strip()
            must("running" in shown("workerclient", "query", "-j", second), "it doesn't run")
            shown("workerclient", "stop", "-j", second)
            shown("workerclient", "stream", "-j", second)  # ends when the job has
            must("SIGTERM" in shown("workerclient", "query", "-j", second), "it wasn't stopped")
        say("The server was ended by SIGTERM, and starts again: nothing is lost.")
        with serving(Path(name)):
            must(shown("workerclient", "stream", "-j", first) == live, "output was lost")
            must("stopped" in shown("workerclient", "query", "-j", second), "a status was lost")
    say("That was all: every command did what it must.")


main()
