"""The keeper's loop, with real descriptors."""

import itertools
import os
import time
import weakref
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from worker.keeper.loop import Loop
from worker.keeper.pumps import LONGEST_REST_S, Pumps


class Nobody:
    def give_up(self) -> None:
        raise AssertionError


def test_an_event_is_not_given_to_the_next_descriptor_of_that_number() -> None:
    """Of two that are ready, the first closes the other, whose number is taken at once."""
    loop, owner = Loop(), Nobody()
    ready = [os.pipe() for _ in range(2)]
    reading = {pipe[0] for pipe in ready}
    wrong: list[int] = []
    called: list[int] = []

    def close_the_other(own: int) -> Callable[[], None]:
        def callback() -> None:
            called.append(own)
            loop.forget(own)
            (other,) = reading - {own}
            loop.forget(other)
            os.close(other)
            new = os.pipe()
            opened.extend(new)
            assert new[0] == other
            loop.watch(other, lambda: wrong.append(other), owner)
            loop.call_in(0, loop.end, owner)

        return callback

    opened: list[int] = []
    for source, sink in ready:
        os.write(sink, b"x")
        loop.watch(source, close_the_other(source), owner)
    loop.run()
    assert len(called) == 1
    assert wrong == []
    for fd in (called[0], *(pipe[1] for pipe in ready), *opened):
        os.close(fd)


def test_a_cancelled_timer_keeps_nothing() -> None:
    """Though an earlier one is still to come."""

    class Job(Nobody):
        def end(self) -> None: ...

    loop, owner = Loop(), Job()
    loop.call_in(1000, loop.end, Nobody())
    later = loop.call_in(2000, owner.end, owner)
    later.cancel()
    later.cancel()
    gone = weakref.ref(owner)
    del owner, later
    assert gone() is None


def test_pumps_rest_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn in which the machine slept tells nothing of the disk."""
    loop, owner = Loop(), Nobody()
    pumps = Pumps(loop)
    source, sink = os.pipe()
    clock = itertools.count(time.monotonic(), 100.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(loop, "call_in", rests := Mock())
    pumps.add(source, loop.end, loop.end, owner)
    os.write(sink, b"x")
    loop.run()
    (seconds, _, _), _ = rests.call_args
    assert seconds == LONGEST_REST_S
    os.close(source)
    os.close(sink)
