"""The wheel against a plain list of deadlines: nothing early, nothing lost, nothing late."""

import math

from hypothesis import given
from hypothesis import strategies as st

from trapline.serve.wheel import TICK, Wheel


class Thing:
    """Something that notes when it was told."""

    def __init__(self, deadline: float) -> None:
        self.deadline, self.bucket = deadline, 0
        self.told: list[float] = []
        self.now = 0.0

    def expired(self) -> None:
        """Note it."""
        self.told.append(self.now)


TIMES = st.floats(0.0, 20.0, allow_nan=False)


@given(st.lists(st.tuples(TIMES, TIMES), max_size=30), st.lists(TIMES, max_size=30))
def test_each_thing_is_told_once_and_in_time(
    moves: list[tuple[float, float]], looks: list[float]
) -> None:
    """A thing whose deadline moves, either way, is told at the first look behind it.

    Planted: with TICK = 0.05, or hanging by ``ceil``, some thing is told too early.
    """
    wheel = Wheel()
    things = [Thing(first) for first, _ in moves]
    for thing, (_, second) in zip(things, moves, strict=True):
        wheel.hang(thing)
        thing.deadline = second
        wheel.hang(thing)
    times = [*sorted(looks), 21.0]
    for now in times:
        for thing in things:
            thing.now = now
        wheel.turn(now)
        for thing in things:
            if thing.told:
                assert thing.deadline <= thing.told[0] <= now
            else:
                assert now < thing.deadline + TICK
    assert all(len(thing.told) == 1 for thing in things)


@given(st.lists(TIMES, min_size=1, max_size=30))
def test_next_says_when_to_look(deadlines: list[float]) -> None:
    """Looking only when ``next`` says so tells all, each at most a tick late."""
    wheel = Wheel()
    things = [Thing(deadline) for deadline in deadlines]
    for thing in things:
        wheel.hang(thing)
    while (now := wheel.next()) is not math.inf:
        for thing in things:
            thing.now = now
        wheel.turn(now)
    for thing in things:
        (told,) = thing.told
        assert thing.deadline <= told <= thing.deadline + TICK


def test_what_is_dropped_is_not_told_nor_kept() -> None:
    """A dropped thing leaves the wheel empty."""
    wheel, thing = Wheel(), Thing(1.0)
    wheel.hang(thing)
    wheel.drop(thing)
    assert wheel.next() is math.inf
    wheel.turn(2.0)
    assert thing.told == []
