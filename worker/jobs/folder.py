"""A job's folder as the keeper leaves it: its records read, its files measured, made durable."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Final, TypeVar

from worker.errors import BadState
from worker.keeper.frames import MAX_JSON, BadFrame, checked
from worker.keeper.messages import Spawn
from worker.keeper.records import FILE_VERSION, EndRecord
from worker.limits import LEAST_NICE

T = TypeVar("T", Spawn, EndRecord)
# Ours, and it passes: no word about the file that couldn't be opened.
SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
MAKE_ROOM: Final = "make room on that disk, or remove jobs that have ended"
_LARGEST: Final = 2**53  # µs: the year 2255; bytes: 8 PiB. More is rubbish


class TornFile(Exception):
    """A file that can't be read as what its name says; the message names it."""


class MissingFile(TornFile):
    """A file that isn't there."""


def read_request(folder: Path) -> Spawn:
    return _record(folder / "request", Spawn)


def read_ended(folder: Path) -> EndRecord:
    record = _record(folder / "ended", EndRecord)
    if record.code is not None and record.signal is not None:
        raise TornFile(f"{folder}/ended: a code and a signal")
    return record


def size_of(folder: Path) -> int:
    """Bytes of its files; a folder that isn't there, or can't be looked into, has none."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0


def output_size(folder: Path) -> int:
    """Bytes that can be read; none of a file that isn't there."""
    try:
        return (folder / "output").stat().st_size
    except OSError:
        return 0


def make_durable(folder: Path) -> None:
    """Take all that `folder` holds through a power cut. Blocks: call it in a thread."""
    for name in ("request", "output", "index", "ended"):
        sync(folder / name)
    sync(folder)  # the names of its files
    sync(folder.parent)  # its own


def sync(path: Path) -> None:
    """fdatasync(2). Blocks: call it in a thread."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _record(path: Path, kind: type[T]) -> T:
    """Raises TornFile for what is wrong with it, OSError where we are short of something.

    Raises BadState for a newer version.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JSON)
    except FileNotFoundError as error:
        raise MissingFile(f"{path} is missing") from error
    except OSError as error:
        if error.errno in SCARCE:
            raise
        raise TornFile(f"{path}: {error.strerror}") from error
    try:
        match json.loads(text):
            case {"version": int(version)} if version > FILE_VERSION:
                raise BadState(f"{path} is of version {version}; this program knows {FILE_VERSION}")
            case {"version": _, "content": content}:
                return _in_range(checked(kind, content, is_file=True))
    except (ValueError, RecursionError) as error:
        raise TornFile(f"{path}: not JSON") from error
    except BadFrame as error:
        raise TornFile(f"{path}: {error}") from error
    raise TornFile(f"{path}: no version")


def _in_range(record: T) -> T:
    for name in record.__slots__:
        number = getattr(record, name)
        least = LEAST_NICE if name == "nice" else 0
        if isinstance(number, int) and not least <= number <= _LARGEST:
            raise BadFrame(f"{name} is out of range")
    return record
