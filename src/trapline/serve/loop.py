"""The loop: one epoll, one timing wheel, one clock, and the commit between two polls.

It is a few lines instead of asyncio because a trap is stepped by hand anyway: there are
no futures, tasks or callbacks left for an event loop to keep.  It costs half of uvloop's
CPU a message and a twentieth of its memory a held connection (``docs/benchmarks.md``).

Must not be in here: what is done with the octets (``connection``), protocols.
"""

import math
import select
import time
from collections.abc import Callable
from typing import Final, Protocol

from trapline.serve.keeper import Keeper
from trapline.serve.log import Log
from trapline.serve.wheel import Wheel

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
BATCH: Final = 512  # events taken at once


class Handler(Protocol):
    """Who is told that a descriptor is ready."""

    def ready(self, events: int) -> None:
        """Read or write what can be read or written; never block."""

    def abandon(self) -> None:
        """Let go of the descriptor: ``ready`` raised something nobody expected."""


class Patient(Protocol):
    """Who has more to do, but makes way for others first."""

    def go_on(self) -> None:
        """Do the next part."""


class Loop:
    """Waits for descriptors, deadlines and commits; ``now`` is moved once a turn."""

    __slots__ = ("_poll", "handlers", "keeper", "log", "now", "soon", "wall", "wheel")

    def __init__(self, keeper: Keeper, log: Log) -> None:
        self.log = log
        self._poll = select.epoll()
        self.handlers: dict[int, Handler] = {}
        self.wheel = Wheel()
        self.soon: list[Patient] = []  # who goes on once the others had their turn
        self.keeper = keeper
        self.tick()

    def tick(self) -> None:
        """Look at the clocks: ``now`` for deadlines, ``wall`` (ns) for the record."""
        self.now = time.monotonic()
        self.wall = time.time_ns()

    def watch(self, fd: int, handler: Handler, events: int) -> None:
        """Begin to watch a descriptor."""
        self.handlers[fd] = handler
        self._poll.register(fd, events)

    def change(self, fd: int, before: int, events: int) -> None:
        """Watch for other events than before; for 0, not even for a hang-up."""
        if not events:
            self._poll.unregister(fd)
        elif not before:
            self._poll.register(fd, events)
        else:
            self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching, before the descriptor is closed."""
        if self.handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def close(self) -> None:
        """Give the poll's own descriptor back."""
        self._poll.close()

    def run(self, until: Callable[[], bool]) -> None:
        """Turn until ``until()`` says so; it is asked after each turn."""
        poll, handlers, keeper, wheel = self._poll.poll, self.handlers, self.keeper, self.wheel
        while not until():
            events = poll(self._sleep(), BATCH)
            self.tick()
            for fd, what in events:
                # An earlier event of this batch may have closed this descriptor.
                if (handler := handlers.get(fd)) is not None:
                    try:
                        handler.ready(what)
                    except Exception as trouble:  # noqa: BLE001 - the others live on
                        self.log.once(trouble)
                        handler.abandon()
            if self.soon:
                self._go_on()
            wheel.turn(self.now)
            if keeper.patience(self.now) == 0:
                keeper.commit()

    def _go_on(self) -> None:
        """Let those go on who made way for others."""
        soon, self.soon = self.soon, []
        for one in soon:
            one.go_on()

    def _sleep(self) -> float:
        """Return how long nothing needs to be done, in seconds; -1 = for ever."""
        if self.soon:
            return 0.0
        until = self.wheel.next()
        seconds = -1.0 if until is math.inf else max(0.0, until - self.now)
        commit = self.keeper.patience(self.now)
        if commit is None:
            return seconds
        return commit if seconds < 0 else min(commit, seconds)
