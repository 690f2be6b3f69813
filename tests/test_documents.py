"""What the documents promise about the code is taken from the code."""

from pathlib import Path

from worker.keeper.life import drawing

ROOT = Path(__file__).parents[1]


def test_the_architecture_shows_the_table_of_a_jobs_life() -> None:
    assert drawing() in (ROOT / "ARCHITECTURE.md").read_text()
