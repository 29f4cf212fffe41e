"""Mending a writer's last segment after a crash.

A torn tail is cut at the last good frame: what was acknowledged lies before it.  Damage
with good frames behind it is never cut; readers step over it and ``verify`` reports it.
"""

import contextlib
import os
from pathlib import Path

from trapline.errors import JournalError
from trapline.journal.frames import FIRST, GENESIS, THINNED, chained, seal_of, unpack_header
from trapline.journal.segments import WINDOW, Segment, listing, segment_path, sync_directory


def recover(directory: Path, writer: str) -> tuple[int, str]:
    """Return the number and the link of the writer's last segment, mended and sealed."""
    numbers = listing(directory).get(writer, [])
    if numbers and _half_made(segment_path(directory, writer, numbers[-1])):
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


def _half_made(path: Path) -> bool:
    """Tell whether a crash came while the segment was made: nothing was promised in it.

    A header is durable before the first frame; what never reached the disk is missing or
    reads as zeros.
    """
    with path.open("rb") as file:
        blocks = file.read(FIRST)
        header = unpack_header(blocks)
        if header and header.pack() == blocks:
            return False
        return not any(any(piece) for piece in iter(lambda: file.read(WINDOW), b""))


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
