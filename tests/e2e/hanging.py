"""A file system whose one file is never read to an end: who reads or executes it sleeps, in D.

    python hanging.py FOLDER

The kernel's side of FUSE (linux/fuse.h, version 7.23), as much of it as an open(2) and a read(2)
need. Says "mounted", then "reading" for each reader. Killed, it lets them all go.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

READ: Final = 15
UNANSWERED: Final = (READ, 2, 36)  # and FORGET, INTERRUPT
ROOT_NODE, FILE_NODE = 1, 2
DIRECT: Final = 1  # FOPEN_DIRECT_IO: a read is a request, not readahead
REQUEST: Final = struct.Struct("<IIQQIIII")
ANSWER: Final = struct.Struct("<IiQ")


@contextmanager
def hanging(folder: Path, pid: int) -> Iterator[subprocess.Popen[bytes]]:
    """Mounted there, for process `pid`. Skips the test where that isn't allowed."""
    folder.mkdir()
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"no FUSE: {error}")
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    there = ["nsenter", "--mount", f"--target={pid}"]
    command = [*there, sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as serving:
        try:
            assert serving.stdout
            assert serving.stdout.readline() == b"mounted\n"
            yield serving
        finally:
            serving.kill()
            subprocess.run([*there, "umount", "--lazy", str(folder)], check=False)


def attributes(node: int) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == ROOT_NODE else stat.S_IFREG | 0o755
    return struct.pack("<QQQQQQIIIIIIIIII", node, 4096, 8, *[0] * 6, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode: int, node: int) -> bytes | None:
    """None: it isn't known here. Every name is that of the one file."""
    match opcode:
        case 26:  # INIT
            return struct.pack("<IIIIHHIIHHI28x", 7, 23, 0, 0, 1, 1, 4096, 1, 0, 0, 0)
        case 3:  # GETATTR
            return struct.pack("<QII", 60, 0, 0) + attributes(node)
        case 1:  # LOOKUP
            return struct.pack("<QQQQII", FILE_NODE, 0, 60, 60, 0, 0) + attributes(FILE_NODE)
        case 14:  # OPEN
            return struct.pack("<QII", 0, DIRECT, 0)
    return None


def serve(device: int) -> None:
    while True:
        _, opcode, unique, node, *_ = REQUEST.unpack_from(os.read(device, 2**17))
        if opcode == READ:
            os.write(1, b"reading\n")
        if opcode in UNANSWERED:
            continue
        body = answer(opcode, node)
        error = -errno.ENOSYS if body is None else 0
        body = body or b""
        os.write(device, ANSWER.pack(ANSWER.size + len(body), error, unique) + body)


def main() -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other"
    mount = ["mount", "-i", "-t", "fuse", "-o", options, "hanging", sys.argv[1]]
    subprocess.run(mount, check=True, pass_fds=[device])
    os.write(1, b"mounted\n")
    serve(device)


if __name__ == "__main__":
    main()
