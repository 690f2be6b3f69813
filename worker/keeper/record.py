"""The folder of one job: claimed, written while it runs, closed by `ended`.

Order is all: `request` before anything is started, the index before the output, `ended` last
and by a rename, into space that was taken at the start, so that a full disk can't lose it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from worker.keeper.index import Index
from worker.keeper.messages import FILE_VERSION, EndRecord, Spawn, to_json

ENDED_SIZE: Final = 4096
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Record:
    """Claims `folder` by mkdir. Raises FileExistsError if it is claimed, OSError without room."""

    def __init__(self, folder: Path, request: Spawn) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        with contextlib.ExitStack() as undo:
            undo.callback(self.remove)
            self._files = undo.enter_context(contextlib.ExitStack())
            _fill(folder / "request", versioned(request))
            _fill(folder / "ended.part", b" " * ENDED_SIZE)
            self.output = os.open(folder / "output", _NEW, 0o600)
            self._files.callback(os.close, self.output)
            index = os.open(folder / "index", _NEW, 0o600)
            self._files.callback(os.close, index)
            self.index = Index(index)
            self._files.callback(self.index.trim)
            undo.pop_all()

    def end(self, record: EndRecord) -> None:
        """Nothing is written after this."""
        text = versioned(record)
        if len(text) > ENDED_SIZE:
            raise ValueError(f"ended: {len(text)} bytes")
        self.close()
        fd = os.open(self.folder / "ended.part", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, text, 0)
        finally:
            os.close(fd)
        (self.folder / "ended.part").rename(self.folder / "ended")

    def close(self) -> None:
        """Closing twice is no error."""
        self._files.close()

    def remove(self) -> None:
        """There was no job."""
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


def versioned(content: Spawn | EndRecord) -> bytes:
    """A file as it is written: one object with its version and its content."""
    return b'{"version":%d,"content":%s}' % (FILE_VERSION, to_json(content))


def _fill(path: Path, content: bytes) -> None:
    fd = os.open(path, _NEW, 0o600)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(28, f"{path}: no space left")
    finally:
        os.close(fd)
