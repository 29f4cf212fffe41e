"""The timing wheel: ten thousand time limits without a timer or a task for each.

Limits are kept lazily: a connection that was heard of only moves its ``deadline`` and
stays in its old bucket; when the bucket comes due it is put where it belongs.  So input
costs one comparison, and only limits that come nearer cost a move.

Must not be in here: clocks.  The caller says what time it is, in seconds.
"""

import heapq
import math
from typing import Final, Protocol

PER_SECOND: Final = 16  # buckets; a power of two, so that the arithmetic is exact
TICK: Final = 1 / PER_SECOND  # seconds; a limit comes due at most this much late


class Timed(Protocol):
    """What may hang on the wheel."""

    bucket: int  # where it hangs, 0 = nowhere; the wheel's own

    @property
    def deadline(self) -> float:
        """Return when it comes due, in seconds by the caller's clock."""

    def expired(self) -> None:
        """Act: the deadline has passed."""


class Wheel:
    """Buckets of things that come due, by tick."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, set[Timed]] = {}
        self._order: list[int] = []  # heap of the buckets' numbers, stale ones too

    def hang(self, thing: Timed) -> None:
        """See to it that the thing is looked at when its deadline comes."""
        bucket = math.floor(thing.deadline / TICK) + 1
        if thing.bucket:
            if thing.bucket <= bucket:
                return  # looked at early enough; it is put right then
            self.drop(thing)
        thing.bucket = bucket
        if (there := self._buckets.get(bucket)) is None:
            self._buckets[bucket] = {thing}
            heapq.heappush(self._order, bucket)
        else:
            there.add(thing)

    def drop(self, thing: Timed) -> None:
        """Forget a thing; it is not kept alive any longer."""
        if (there := self._buckets.get(thing.bucket)) is not None:
            there.discard(thing)
        thing.bucket = 0

    def next(self) -> float:
        """Return when something may come due (infinity: never)."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] * TICK if self._order else math.inf

    def turn(self, now: float) -> None:
        """Tell all things whose deadline has passed; put the others where they belong."""
        while self._order and self._order[0] * TICK <= now:
            for thing in self._buckets.pop(heapq.heappop(self._order)):
                thing.bucket = 0
                if thing.deadline > now:
                    self.hang(thing)
                else:
                    thing.expired()
