"""The keeper's loop, with real descriptors."""

import os
from collections.abc import Callable

from worker.keeper.loop import Loop


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
