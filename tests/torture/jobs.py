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
    """`lines` on stdout, every third also on stderr; each start leaves its id in `starts`.

    `beat` is the pause after each line, `pause` that after all of them, both in seconds.
    """

    lines: int
    beat: float
    pause: float
    end: str
    exit_code: int
    is_signal: bool
    is_to_be_removed: bool
    id: UUID = field(default_factory=uuid4)

    @classmethod
    def drawn(cls, chance: random.Random) -> Known:
        lines, beat = chance.choice([(0, 0), (1, 0), (20, 0), (100, 0.1), (300, 0), (2000, 0)])
        pause = chance.choice([0, 0, 0, 0.2, 1.0])
        is_signal, is_to_be_removed = chance.random() < 0.25, chance.random() < 0.3
        if is_signal:
            name, number = chance.choice(list(SIGNALS.items()))
            end, code = f"kill -{name} $$", 128 + number
        else:
            code = chance.choice([0, 1, 3, 42, 137, 255])
            end = f"exit {code}"
        return cls(lines, beat, pause, end, code, is_signal, is_to_be_removed)

    def spec(self, starts: Path) -> JobSpec:
        count = 'i=0; while [ $i -lt $1 ]; do echo "o$i"; [ $((i % 3)) = 0 ] && echo "e$i" >&2'
        beat = f"sleep {self.beat}; " if self.beat else ""
        script = f"echo $WORKER_JOB_ID >> $2; {count}; {beat}i=$((i + 1)); done; sleep $3"
        arguments = (str(self.lines), str(starts), str(self.pause))
        return JobSpec("sh", ("-c", f"{script}; {self.end}", "sh", *arguments))

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
