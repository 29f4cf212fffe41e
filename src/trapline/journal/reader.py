"""The reading end: entries in order of time, from a position, whole or as they come.

Each writer's segments are in order already, so its entries are merged with the others'
by stamp, one segment open for each writer.  Bodies stay on disk until one is fetched.
"""

import heapq
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from trapline.errors import JournalError, NoEntry
from trapline.events import Entry, Record
from trapline.journal.frames import THINNED, Frame
from trapline.journal.positions import NOTHING, Position, Positions, behind, walk
from trapline.journal.segments import Segment, listing, segment_path

_GLANCE: Final = 2**15  # octets read at once where one entry is looked for
_decode = msgspec.json.Decoder(Record).decode


class _Found(NamedTuple):
    """An entry on its way through a merge, and where its reader stands behind it."""

    entry: Entry
    writer: str
    position: Position


def read(directory: Path, since: Mapping[str, Position] | None = None) -> Iterator[Entry]:
    """Yield all entries behind ``since``, merged by time; memory stays bounded."""
    for found in _merged(directory, since or {}):
        yield found.entry


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
            entries.append(found.entry)
        return tuple(entries)


def fetch(directory: Path, entry_id: str) -> tuple[Entry, bytes | None]:
    """Return an entry and its raw octets: None where they were thinned.

    Raises:
        NoEntry: there is none with this id, or not any more.
        JournalError: the octets are damaged.
    """
    with _held(directory, entry_id) as (segment, frame, entry):
        octets = segment.raw(frame)
        if octets is None and not frame.flags & THINNED:
            raise JournalError(f"{segment.path}, entry {entry_id}", "its octets are damaged")
        return entry, octets


def after(directory: Path, entry_id: str) -> Positions:
    """Return the positions behind this entry, in the order of the merge.

    Raises:
        NoEntry: there is none with this id, or not any more.
    """
    with _held(directory, entry_id) as (segment, frame, entry):
        own = {segment.header.writer: behind(segment, frame)}
    positions = {
        writer: _at(directory, writer, numbers, entry.stamp.at)
        for writer, numbers in listing(directory).items()
        if writer not in own
    }
    return positions | own


def ends(directory: Path) -> Positions:
    """Return the positions behind the last entry of each writer."""
    positions: Positions = {}
    for writer, numbers in listing(directory).items():
        positions[writer] = Position(numbers[-1], -1)
        with (
            suppress(FileNotFoundError, JournalError),
            Segment(segment_path(directory, writer, numbers[-1])) as segment,
        ):
            for frame in segment.frames(segment.near(2**32)):
                positions[writer] = behind(segment, frame)
    return positions


def split_id(entry_id: str) -> tuple[str, int, int]:
    """Take an id apart: writer, segment, ordinal.

    Raises:
        NoEntry: it is not an id.
    """
    writer, *numbers = entry_id.split("-")
    plain = writer.isascii() and writer.replace("_", "a").isalnum() and len(numbers) == 2
    if not plain or not all(x.isascii() and x.isdigit() and len(x) < 20 for x in numbers):
        raise NoEntry(entry_id)
    return writer, int(numbers[0]), int(numbers[1])


@contextmanager
def _held(directory: Path, entry_id: str) -> Iterator[tuple[Segment, Frame, Entry]]:
    """Hold the segment of an entry open, at its frame."""
    writer, number, ordinal = split_id(entry_id)
    try:
        segment = Segment(segment_path(directory, writer, number), _GLANCE)
    except FileNotFoundError:
        raise NoEntry(entry_id) from None
    with segment:
        frame = _frame(segment, ordinal)
        entry = _entry(segment, frame) if frame else None
        if frame is None or entry is None:
            raise NoEntry(entry_id)
        yield segment, frame, entry


def _frame(segment: Segment, ordinal: int) -> Frame | None:
    for frame in segment.frames(segment.near(ordinal)):
        if frame.ordinal >= ordinal:
            return frame if frame.ordinal == ordinal else None
    return None


def _entry(segment: Segment, frame: Frame) -> Entry | None:
    """Decode a frame; None if it is of a version to come, which ``verify`` reports."""
    try:
        record = _decode(frame.text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    header = segment.header
    entry_id = f"{header.writer}-{header.segment}-{frame.ordinal}"
    return Entry(id=entry_id, stamp=record.stamp, event=record.event)


def _merged(directory: Path, since: Mapping[str, Position]) -> Iterator[_Found]:
    walks = (
        _found(directory, writer, numbers, since.get(writer, NOTHING))
        for writer, numbers in listing(directory).items()
    )
    return heapq.merge(*walks, key=lambda found: found.entry.stamp.at)


def _found(
    directory: Path, writer: str, numbers: list[int], since: Position
) -> Iterator[_Found]:
    for segment, frame in walk(directory, writer, numbers, since):
        if entry := _entry(segment, frame):
            yield _Found(entry, writer, behind(segment, frame))


def _at(directory: Path, writer: str, numbers: list[int], at: int) -> Position:
    """Return the position behind a writer's entries up to a time."""
    begun = [n for n in numbers if _created(segment_path(directory, writer, n)) <= at]
    if not begun:
        return NOTHING
    position = Position(begun[-1], -1)
    for found in _found(directory, writer, [begun[-1]], position):
        if found.entry.stamp.at > at:
            break
        position = found.position
    return position


def _created(path: Path) -> int:
    with suppress(FileNotFoundError, JournalError), Segment(path) as segment:
        return segment.header.created
    return 0
