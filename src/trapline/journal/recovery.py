"""Mending a writer's last segment after a crash.

A torn tail is cut at the last good frame: what was acknowledged lies before it.  Damage
with good frames behind it is never cut; readers step over it and ``verify`` reports it.
"""

import contextlib
import os
from pathlib import Path

from trapline.errors import JournalError
from trapline.journal.frames import FIRST, GENESIS, THINNED, chained, seal_of
from trapline.journal.segments import Segment, listing, segment_path, sync_directory


def recover(directory: Path, writer: str) -> tuple[int, str]:
    """Return the number and the link of the writer's last segment, mended and sealed."""
    numbers = listing(directory).get(writer, [])
    if numbers and segment_path(directory, writer, numbers[-1]).stat().st_size < FIRST:
        # The crash came while it was made: nothing was ever acknowledged in it.
        segment_path(directory, writer, numbers.pop()).unlink()
        sync_directory(directory)
    last = numbers[-1] if numbers else 0
    for number in reversed(numbers):
        path = segment_path(directory, writer, number)
        try:
            with Segment(path) as segment:
                return last, _mend(segment)
        except JournalError:
            continue  # stays for verify to report
    return last, GENESIS


def _mend(segment: Segment) -> str:
    """Cut the torn tail, seal the segment and return its link."""
    chain, mark = segment.header.chain(), bytes.fromhex(segment.header.mark)
    end, ordinal, entries = FIRST, 0, 0
    waiting: list[bytes] = []
    for frame in segment.frames():
        waiting.append(chained(frame))
        if frame.flags & THINNED or segment.raw(frame) is not None:
            # A hurt body with a good frame behind it is damage: it stays in the chain.
            chain.update(b"".join(waiting))
            entries += len(waiting)
            waiting.clear()
            end, ordinal = frame.raw_at + frame.raw_octets, frame.ordinal + 1
    if segment.seal:
        return segment.seal.link
    link = chain.hexdigest()
    _finish(segment.path, end, seal_of(mark, ordinal, entries, link))
    return link


def _finish(path: Path, end: int, seal: bytes) -> None:
    """Put the seal where the good frames end, and nothing behind it."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, end)
        with contextlib.suppress(OSError):  # full disk: the next header carries the link
            if os.pwrite(descriptor, seal, end) < len(seal):
                os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
