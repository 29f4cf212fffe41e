"""The reading end: entries in order of time, from a position, whole or as they come.

Each writer's segments are in order already, so its entries are merged with the others'
by stamp, one segment open for each writer.  Bodies stay on disk until one is fetched.
Files come and go while they are read (rotation, thinning); a position survives that.
"""

import heapq
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from trapline.errors import JournalError, NoEntry
from trapline.events import Entry, Record
from trapline.journal.frames import FIRST, THINNED, Frame
from trapline.journal.segments import Segment, listing, segment_path

_decode = msgspec.json.Decoder(Record).decode


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far a writer's entries were taken: up to this ordinal of this segment.

    ``offset`` is where the next frame began then; a hint, checked before it is used.
    """

    segment: int
    ordinal: int
    offset: int = 0

    def takes_in(self, segment: int, ordinal: int) -> bool:
        """Tell whether an entry was taken already."""
        return (segment, ordinal) <= (self.segment, self.ordinal)


Positions = dict[str, Position]
_NOTHING = Position(0, -1)


class Found(NamedTuple):
    """A frame on its way through a merge, and where its reader stands behind it."""

    at: int  # nanoseconds, of the stamp
    id: str
    record: Record
    writer: str
    position: Position


def read(directory: Path, since: Mapping[str, Position] | None = None) -> Iterator[Entry]:
    """Yield all entries behind ``since``, merged by time; memory stays bounded."""
    for found in _merged(directory, since or {}):
        yield Entry(id=found.id, stamp=found.record.stamp, event=found.record.event)


def fetch(directory: Path, entry_id: str) -> tuple[Entry, bytes | None]:
    """Return an entry and its raw octets: None where they were thinned.

    Raises:
        NoEntry: there is none with this id, or not any more.
        JournalError: the octets are damaged.
    """
    writer, number, ordinal = split_id(entry_id)
    try:
        with Segment(segment_path(directory, writer, number)) as segment:
            for frame in segment.frames():
                if frame.ordinal == ordinal:
                    return _fetched(entry_id, segment, frame)
    except FileNotFoundError:
        pass
    raise NoEntry(entry_id)


def split_id(entry_id: str) -> tuple[str, int, int]:
    """Take an id apart: writer, segment, ordinal."""
    writer, *numbers = entry_id.split("-")
    if len(numbers) != 2 or not writer.replace("_", "a").isalnum():
        raise NoEntry(entry_id)
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise NoEntry(entry_id)
    return writer, int(numbers[0]), int(numbers[1])


class Tail:
    """Follows a journal: each ``poll`` brings what is new, in order of time."""

    def __init__(self, directory: Path, since: Mapping[str, Position] | None = None) -> None:
        """Begin behind ``since``, or with the first entry there is."""
        self._directory = directory
        self.positions: Positions = dict(since or {})

    def poll(self, limit: int = 10_000) -> tuple[Entry, ...]:
        """Return at most ``limit`` entries that came since the last poll."""
        entries = []
        for found in islice(_merged(self._directory, self.positions.copy()), limit):
            self.positions[found.writer] = found.position
            record = found.record
            entries.append(Entry(id=found.id, stamp=record.stamp, event=record.event))
        return tuple(entries)


def ends(directory: Path) -> Positions:
    """Return the positions behind the last entry of each writer."""
    positions: Positions = {}
    for writer, numbers in listing(directory).items():
        last = Position(max(0, numbers[-1] - 1), 2**32)
        for segment, frame in frames(directory, writer, numbers, last):
            last = _behind(segment, frame)
        positions[writer] = last
    return positions


def frames(
    directory: Path, writer: str, numbers: list[int], since: Position
) -> Iterator[tuple[Segment, Frame]]:
    """Yield a writer's frames behind a position.

    ``numbers`` are its segments, listed *before* this call: a segment that had a
    follower then was complete, so nothing is stepped over while the writer rotates.
    """
    for number in numbers:
        if number < since.segment:
            continue
        try:
            segment = Segment(segment_path(directory, writer, number))
        except (FileNotFoundError, JournalError):
            continue  # dropped by the quota meanwhile; or damaged, which verify reports
        with segment:
            resumed = number == since.segment
            for frame in segment.frames(_start(segment, since) if resumed else FIRST):
                if not resumed or frame.ordinal > since.ordinal:
                    yield segment, frame


def _start(segment: Segment, since: Position) -> int:
    """Return the offset to go on from: the hint, where the file still agrees with it."""
    if since.offset <= FIRST:
        return FIRST
    frame = segment.peek(since.offset)
    # Thinning moves frames: only the very next one proves that the hint is still good.
    return since.offset if frame and frame.ordinal == since.ordinal + 1 else FIRST


def _merged(directory: Path, since: Mapping[str, Position]) -> Iterator[Found]:
    found = listing(directory)
    return heapq.merge(
        *(
            _found(directory, writer, numbers, since.get(writer, _NOTHING))
            for writer, numbers in found.items()
        ),
        key=lambda x: x.at,
    )


def _found(
    directory: Path, writer: str, numbers: list[int], since: Position
) -> Iterator[Found]:
    for segment, frame in frames(directory, writer, numbers, since):
        try:
            record = _decode(frame.text)
        except msgspec.DecodeError:
            continue  # of a version to come; verify reports it
        entry_id = f"{writer}-{segment.header.segment}-{frame.ordinal}"
        yield Found(record.stamp.at, entry_id, record, writer, _behind(segment, frame))


def _behind(segment: Segment, frame: Frame) -> Position:
    end = frame.raw_at + frame.raw_octets
    return Position(segment.header.segment, frame.ordinal, end)


def _fetched(entry_id: str, segment: Segment, frame: Frame) -> tuple[Entry, bytes | None]:
    record = _decode(frame.text)
    entry = Entry(id=entry_id, stamp=record.stamp, event=record.event)
    if frame.flags & THINNED:
        return entry, None
    octets = segment.raw(frame)
    if octets is None:
        raise JournalError(f"{segment.path}, entry {entry_id}", "the raw octets are damaged")
    return entry, octets
