"""The file jobs.db: made, checked and opened; one that isn't ours is put aside.

jobs          what was asked for (`request`: the Spawn as JSON), and what became of it
tombstones    jobs that were removed, so that a late retry starts none of them again
service_time  how long the service has run in all
history       the revision since which every change is known
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from worker.errors import BadState, InternalError, NoRoom
from worker.jobs.folder import MAKE_ROOM

VERSION: Final = 4
_OURS: Final = int.from_bytes(b"jobw")
# final_s: the service time at which the job became final, NULL before that. One index serves the
# start, which looks for the unfinished, and retention, which looks for the oldest.
_CREATE: Final = """
BEGIN;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    digest BLOB NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    started_us INTEGER,
    leader_exited_us INTEGER,
    ended_us INTEGER,
    outcome TEXT,
    exit_code INTEGER,
    signal TEXT,
    cause TEXT,
    reason TEXT NOT NULL DEFAULT '',
    stopped_by TEXT,
    stdout INTEGER NOT NULL DEFAULT 0,
    stderr INTEGER NOT NULL DEFAULT 0,
    merged INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    user_us INTEGER,
    system_us INTEGER,
    peak_memory INTEGER,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    final_s REAL,
    size INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_time ON jobs (created_us, id);
CREATE INDEX jobs_by_revision ON jobs (revision);
CREATE INDEX jobs_by_age ON jobs (final_s, ended_us, size);
CREATE TABLE tombstones (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    removed_us INTEGER NOT NULL,
    removed_s REAL NOT NULL,
    how TEXT NOT NULL,
    state TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX tombstones_by_revision ON tombstones (revision);
CREATE TABLE service_time (seconds REAL NOT NULL);
INSERT INTO service_time VALUES (0);
CREATE TABLE history (floor INTEGER NOT NULL);
INSERT INTO history VALUES (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
"""
_SIGN: Final = f"PRAGMA application_id = {_OURS}; PRAGMA user_version = {VERSION}; COMMIT;"
_TORN: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ}
)

_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM})
# Larger ones are not looked through at each start, as that would take seconds: what is torn in
# them is an error of the request that meets it.
_LARGEST_CHECKED: Final = 512 * 2**20

log = logging.getLogger(__name__)


class _NotOurs(Exception):
    """Torn, or written by another program."""


def opened(path: Path) -> sqlite3.Connection:
    """Raises BadState for a file of a newer version, or one that can't be opened at all."""
    try:
        try:
            return _connected(path)
        except _NotOurs as reason:
            _put_aside(path, str(reason))
            return _connected(path)
    except (OSError, sqlite3.Error, _NotOurs) as error:
        raise BadState(f"{path} can't be used: {error}") from error


def _connected(path: Path) -> sqlite3.Connection:
    """On a full disk without its side file of shared memory: nobody else opens it then."""
    try:
        return _opened(path, "NORMAL")
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_IOERR, *_FULL):
            raise
        log.warning("%s: %s; trying without a file of shared memory", path, error)
        return _opened(path, "EXCLUSIVE")


def _opened(path: Path, locking: str) -> sqlite3.Connection:
    # SQLite gives its side files the rights of the first one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute(f"PRAGMA locking_mode = {locking}")
        _check(database, path)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.row_factory = sqlite3.Row
    except sqlite3.Error as error:
        database.close()
        if error.sqlite_errorcode in _TORN or error.sqlite_errorcode & 0xFF in _TORN:
            raise _NotOurs(str(error)) from error
        raise
    except BaseException:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (version, application, tables) == (0, 0, 0):
        database.executescript(_CREATE + _SIGN)
        return
    if application != _OURS:
        raise _NotOurs("another program's database")
    if version > VERSION:
        raise BadState(f"{path} is of version {version}, and this program knows {VERSION}")
    if version < VERSION:
        raise _NotOurs(f"of version {version}")
    if path.stat().st_size > _LARGEST_CHECKED:
        return
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _NotOurs(found)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing. Raises as `translated`."""
    with translated():
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # a full disk has ended it already
                database.execute("ROLLBACK")
            raise


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = NoRoom if code in _FULL else InternalError
        advice = f": {MAKE_ROOM}" if code == sqlite3.SQLITE_FULL else ""
        raise kind(f"jobs.db: {error}{advice}") from error


def _put_aside(path: Path, reason: str) -> None:
    suffix = f".broken-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    log.error("%s: %s; it is kept as %s%s and rebuilt", path, reason, path.name, suffix)
    # The log of changes goes with it: it must not be applied to another file.
    for part in ("-wal", "-shm", ""):
        side = path.with_name(path.name + part)
        if side.exists():
            side.rename(path.with_name(path.name + suffix + part))
