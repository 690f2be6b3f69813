"""docs/certificates.md: its commands do what it says."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import new_authority
from certs.folder import load_certificate, write_pair
from certs.show import use_of
from worker.rpc.role import Role, read_role
from worker.rpc.tls import client_context

DOCUMENT = Path(__file__).parents[2] / "docs" / "certificates.md"
BLOCKS = re.findall(r"^```\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


def run(folder: Path, first_words: str) -> None:
    """All of the block that begins with these."""
    (block,) = (block for block in BLOCKS if block.startswith(first_words))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euc", block],
        check=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        timeout=30,
    )


def role_in(file: Path) -> Role:
    return read_role(load_certificate(file).public_bytes(Encoding.DER))


def test_make(tmp_path: Path) -> None:
    run(tmp_path, "workercerts authority")
    folder = tmp_path / "certs" / "mine"
    assert role_in(folder / "alice.pem") is Role.FULL
    assert role_in(folder / "monitor.pem") is Role.READONLY
    assert use_of(load_certificate(folder / "server.pem")) == "servers"
    left = load_certificate(folder / "alice.pem").not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=89) < left < timedelta(days=90)


def test_made_elsewhere(tmp_path: Path) -> None:
    write_pair(tmp_path, "ca", new_authority(datetime.now(UTC)))
    run(tmp_path, "cat > role.ext")
    assert role_in(tmp_path / "alice.pem") is Role.FULL
    client_context(tmp_path / "ca.pem", tmp_path / "alice.pem", tmp_path / "alice.key")
