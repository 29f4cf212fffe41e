"""The journal: append-only, framed, checksummed, chained records; one writer a file.

A trap says 250 only after its record is on disk: ``Writer`` takes entries, ``commit``
keeps them all with one write and one fdatasync, or raises ``NotKept``.  ``read``, ``Tail``
and ``fetch`` are for everybody below the journal, in any number of processes, while it is
written.  On disk: ``docs/specifications/journal.md``.
"""

from trapline.journal.checking import Report, SegmentReport, verify
from trapline.journal.positions import Position, Positions, walk
from trapline.journal.quota import Relief, enforce
from trapline.journal.reader import Tail, after, ends, fetch, read
from trapline.journal.segments import listing
from trapline.journal.writer import Writer

__all__ = [
    "Position",
    "Positions",
    "Relief",
    "Report",
    "SegmentReport",
    "Tail",
    "Writer",
    "after",
    "ends",
    "enforce",
    "fetch",
    "listing",
    "read",
    "verify",
    "walk",
]
