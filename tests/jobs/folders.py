"""Job folders written by hand, as a keeper would leave them at any moment."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import UUID, uuid4

from worker.keeper.messages import Spawn
from worker.keeper.records import FILE_VERSION, INDEX_MAGIC, OFFSET_BITS, RECORD, EndRecord, Kind

STARTED_US = 1_700_000_000_000_001
ENDED = EndRecord(
    code=0,
    signal=None,
    cause="own exit",
    stopped_by=None,
    reason="",
    started_us=STARTED_US,
    leader_exited_us=STARTED_US + 10,
    ended_us=STARTED_US + 20,
    stdout=0,
    stderr=0,
    merged=0,
    dropped=0,
)
Entry = tuple[Kind, int, int]
HEADER: Entry = (Kind.HEADER, FILE_VERSION, INDEX_MAGIC)


def request_of(job_id: UUID | None = None) -> Spawn:
    return Spawn(
        ask=0,
        job=str(job_id or uuid4()),
        command="true",
        arguments=["-x"],
        environment={},
        path="/bin",
        directory="/",
        merged=False,
        grace_s=1.0,
        output_cap=2**30,
        owner="CN=alice",
        labels={"team": "blue"},
        created_us=STARTED_US - 1,
    )


def packed(entries: Sequence[Entry]) -> bytes:
    return b"".join(RECORD.pack(kind << OFFSET_BITS | at, value) for kind, at, value in entries)


def write_output(
    folder: Path, output: bytes, entries: Sequence[Entry], *, reserved: int = 5
) -> None:
    """`reserved`: zero records after the last, as while the job runs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "output").write_bytes(output)
    (folder / "index").write_bytes(packed([HEADER, *entries]) + bytes(16 * reserved))


def write_request(folder: Path, request: Spawn) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "request").write_text(versioned(asdict(request)))


def write_ended(folder: Path, record: EndRecord = ENDED, **changes: object) -> None:
    values = asdict(record) | changes
    (folder / "ended").write_text(versioned(values).ljust(4096))


def versioned(content: dict[str, object], version: int = FILE_VERSION) -> str:
    return json.dumps({"version": version, "content": content})
