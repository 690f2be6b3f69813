"""Jobs that are known in advance: what they print on each stream, and how they end."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from worker.spec import JobSpec
from worker.state import JobState, JobStatus, Outcome, Stream

SIGNALS = {"KILL": 9, "SEGV": 11, "TERM": 15, "USR1": 10}


@dataclass(frozen=True)
class Known:
    """`lines` on stdout, every third also on stderr; each start leaves its id in `starts`."""

    lines: int
    pause: float
    end: str
    exit_code: int
    is_signal: bool
    id: UUID = field(default_factory=uuid4)

    @classmethod
    def drawn(cls, chance: random.Random) -> Known:
        lines = chance.choice([0, 1, 20, 300, 2000])
        pause = chance.choice([0, 0, 0, 0.2, 1.0])
        if chance.random() < 0.25:
            name, number = chance.choice(list(SIGNALS.items()))
            return cls(lines, pause, f"kill -{name} $$", 128 + number, is_signal=True)
        code = chance.choice([0, 1, 3, 42, 137, 255])
        return cls(lines, pause, f"exit {code}", code, is_signal=False)

    def spec(self, starts: Path) -> JobSpec:
        count = 'i=0; while [ $i -lt $1 ]; do echo "o$i"; [ $((i % 3)) = 0 ] && echo "e$i" >&2'
        script = f"echo $WORKER_JOB_ID >> $2; {count}; i=$((i + 1)); done; sleep $3; {self.end}"
        arguments = ("-c", script, "sh", str(self.lines), str(starts), str(self.pause))
        return JobSpec("sh", arguments)

    def printed(self, stream: Stream) -> bytes:
        if stream is Stream.STDERR:
            return b"".join(b"e%d\n" % number for number in range(0, self.lines, 3))
        return b"".join(b"o%d\n" % number for number in range(self.lines))

    def faults(self, status: JobStatus, output: dict[Stream, bytes]) -> list[str]:
        """All that isn't as it must be."""
        found = []
        for stream in (Stream.STDOUT, Stream.STDERR):
            if output[stream] != self.printed(stream):
                got, due = len(output[stream]), len(self.printed(stream))
                found.append(f"{self.id}: {stream} has {got} bytes for {due}, or others")
        outcome = Outcome.SIGNALED if self.is_signal else Outcome.EXITED
        seen = (status.state, status.outcome, status.exit_code)
        if seen != (JobState.EXITED, outcome, self.exit_code):
            found.append(f"{self.id}: {seen} instead of {outcome} {self.exit_code}")
        return found
