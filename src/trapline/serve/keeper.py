"""The keeper: stamped facts into the journal, many sessions to one fsync.

Records are handed to the journal's writer at once; the commit of the whole batch happens
in the loop's thread once the oldest session has waited for ``PATIENCE``, or at once when
nobody is left who could join.  A thread or a longer timer halves the rate (see
``docs/benchmarks.md``).  Notes, which nobody waits for, ride along or go soon.

Must not be in here: framing and files (``journal``), sockets.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from trapline.errors import NotKept
from trapline.events import Event, JournalShort, Stamp

PATIENCE: Final = 0.001  # seconds a message may wait for company
NOTES: Final = 0.1  # seconds a note may wait for a message: who asks at once is told
CALM: Final = 5.0  # seconds without a refusal before the disk counts as having room again
HEAP: Final = 8 * 2**20  # octets that wait in memory before they are committed anyway


class Journal(Protocol):
    """What of ``journal.Writer`` the keeper uses."""

    reserve: int

    def append(self, stamp: Stamp, event: Event, content: bytes | bytearray = b"") -> str:
        """Take a record; it is not on disk yet."""

    def commit(self, *, spare_nothing: bool = False) -> None:
        """Put everything taken on disk, or raise NotKept."""

    def look(self) -> int:
        """Return how much of the disk is free."""

    def close(self) -> None:
        """Seal the segment."""


class Waiting(Protocol):
    """A session that waits for its record."""

    def committed(self, failure: NotKept | None) -> None:
        """Go on: the record is on disk, or it is not and will not be."""


class Keeper:
    """Group commit over one journal writer; see the module's docstring."""

    __slots__ = (
        "_failed", "_heap", "_journal", "_log", "_noted", "_short", "_since", "_told",
        "_wanted", "crowd", "waiting",
    )  # fmt: skip

    def __init__(self, journal: Journal, log: Callable[[str], None]) -> None:
        self._journal, self._log = journal, log
        self.waiting: list[Waiting] = []
        self.crowd = 0  # sessions that are open: when all wait, nobody can join
        self._since = 0.0  # when the oldest of ``waiting`` began to wait
        self._noted = 0.0  # when the oldest record that nobody waits for came; 0 = none
        self._heap = 0
        self._failed = 0.0  # when the disk refused last,
        self._wanted = 0  # and how much would have had to be free
        self._short = False  # the disk refused
        self._told = False  # and the journal says so

    def take(self, stamp: Stamp, event: Event, content: bytes | bytearray, now: float) -> None:
        """Hand a record to the journal; its session calls ``wait`` next if it cares.

        Raises:
            NotKept: the journal takes nothing more.
        """
        self._journal.append(stamp, event, content)
        if content:
            self._heap += len(content)
        if not self._noted:
            self._noted = now

    def wait(self, session: Waiting, now: float) -> None:
        """Have ``session.committed`` called once all that was taken is on disk."""
        if not self.waiting:
            self._since = now
        self.waiting.append(session)

    def patience(self, now: float) -> float | None:
        """Return the seconds until a commit is due; None where nothing waits."""
        if self.waiting:
            if len(self.waiting) >= self.crowd or self._heap > HEAP:
                return 0.0
            return max(0.0, self._since + PATIENCE - now)
        return max(0.0, self._noted + NOTES - now) if self._noted else None

    def commit(self) -> None:
        """Put everything taken on disk and let the sessions that waited go on."""
        failure = None
        try:
            self._journal.commit()
        except NotKept as trouble:
            failure = trouble
        except OSError as trouble:
            self._log(f"journal: {trouble}")
            failure = NotKept(str(trouble))
        if failure is not None:
            self._refused(failure)
        self._noted, self._heap = 0.0, 0
        waited, self.waiting = self.waiting, []
        for session in waited:
            session.committed(failure)

    def _refused(self, failure: NotKept) -> None:
        """Tell once that the disk is short: with what is left of it, if anything is."""
        if not self._short:
            self._log(f"journal: {failure}; traps answer that they have no room")
        self._short, self._failed = True, time.monotonic()
        self._wanted = self._journal.reserve + self._heap
        self._told = self._told or self._tell(refusing=True)

    def look(self) -> None:
        """Tell once that there is room again; to be called every now and then."""
        calm = self._short and time.monotonic() - self._failed >= CALM
        if calm and self._tell(refusing=False):
            self._short = self._told = False
            self._log("journal: there is room again")

    def _tell(self, *, refusing: bool) -> bool:
        """Put a word about the disk into the journal; tell whether it is there."""
        here = self._journal
        try:
            free = here.look()
            if not refusing and free < self._wanted:
                return False
            event = JournalShort(free=free, wanted=self._wanted, refusing=refusing)
            here.append(Stamp(at=time.time_ns(), sensor="journal"), event)
            here.commit(spare_nothing=refusing)
        except (NotKept, OSError):
            return False
        return True

    def close(self) -> None:
        """Seal the journal; what was taken goes to disk first."""
        self.commit()
        self._journal.close()
