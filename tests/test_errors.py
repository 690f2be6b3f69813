"""The tree of errors is what its drawing shows."""

import re
from collections.abc import Iterator

import pytest

from cli.statuses import STATUS
from worker import errors
from worker.errors import JobError, WorkerError
from worker.rpc.statuses import CODE

LINE = re.compile(r"(?P<above>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<remedy>  +\S.*)?")


def drawn() -> Iterator[tuple[int, str, bool]]:
    """Depth, name, and whether there is a word on what to do."""
    for line in str(errors.__doc__).splitlines()[2:]:
        match = LINE.fullmatch(line)
        assert match, line
        yield len(match["above"]) // 4, match["name"], match["remedy"] is not None


def tree(kind: type[WorkerError], depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, kind.__name__
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


def test_the_drawing_is_the_tree() -> None:
    assert [(depth, name) for depth, name, _ in drawn()] == list(tree(WorkerError))


def test_each_says_what_to_do() -> None:
    assert [name for _, name, is_told in drawn() if not is_told] == ["WorkerError"]


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_each_has_a_code_and_an_exit_status(kind: type[Exception]) -> None:
    if kind is not WorkerError:
        assert any(parent in STATUS for parent in kind.__mro__)
    if issubclass(kind, JobError) and kind is not JobError:
        assert any(parent in CODE for parent in kind.__mro__)
