"""Positions, and walking a writer's frames from one.

A position survives all that happens to files meanwhile: rotation, thinning, dropping.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from trapline.errors import JournalError
from trapline.journal.frames import FIRST, Frame
from trapline.journal.segments import Segment, segment_path


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far a writer's entries were taken: up to this ordinal of this segment.

    ``offset`` is where the next frame began then; a hint, checked before it is used.
    """

    segment: int
    ordinal: int
    offset: int = 0


Positions = dict[str, Position]
NOTHING: Final = Position(0, -1)


def behind(segment: Segment, frame: Frame) -> Position:
    """Return the position of somebody who has taken this frame."""
    return Position(segment.header.segment, frame.ordinal, frame.raw_at + frame.raw_octets)


def walk(
    directory: Path, writer: str, numbers: list[int], since: Position, *, settled: bool = False
) -> Iterator[tuple[Segment, Frame]]:
    """Yield a writer's frames behind a position.

    ``numbers`` are its segments, listed *before* this call: a segment that had a
    follower then was complete, so nothing is stepped over while the writer rotates.
    ``settled`` makes durable what is read, so that no power cut takes it back later.
    """
    for number in numbers:
        if number < since.segment:
            continue
        try:
            segment = Segment(segment_path(directory, writer, number))
        except (FileNotFoundError, JournalError):
            continue  # dropped by the quota meanwhile; or damaged, which verify reports
        live = number == numbers[-1]
        with segment:
            if settled and live:
                segment.settle()
            resumed = number == since.segment
            start = _start(segment, since, live=live) if resumed else FIRST
            for frame in segment.frames(start):
                if not resumed or frame.ordinal > since.ordinal:
                    yield segment, frame


def _start(segment: Segment, since: Position, *, live: bool) -> int:
    """Return the offset to go on from: the hint, where the file still agrees with it."""
    if since.offset > FIRST:
        if live and since.offset == segment.size():
            return since.offset  # all of it was taken; a writer's last is never thinned
        # Thinning moves frames: only the very next one proves that the hint is still good.
        frame = segment.peek(since.offset)
        if frame and frame.ordinal == since.ordinal + 1:
            return since.offset
    return segment.near(since.ordinal)
