"""Segment files: their names, and reading one, whole or hurt.

Reading never raises for what it finds: where a frame should be and is not, the next
good frame with the segment's mark is searched; what lies between is damage, and where
none follows, a torn tail.  Files are read, not mapped: a writer may cut a live one.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self
from zlib import crc32

from trapline.errors import JournalError
from trapline.journal.frames import (
    BODY,
    COVERED,
    FIRST,
    HEAD,
    JSON_LIMIT,
    SEAL,
    THINNED,
    Frame,
    Header,
    Seal,
    unpack_header,
    unpack_seal,
)

WINDOW: Final = 2**20  # octets read at once
_NAME: Final = re.compile(r"([A-Za-z0-9_]{1,32})-(\d{8,})\.seg")


def segment_path(directory: Path, writer: str, segment: int) -> Path:
    """Return where a segment lies."""
    return directory / f"{writer}-{segment:08d}.seg"


def listing(directory: Path) -> dict[str, list[int]]:
    """Return the segment numbers of each writer, in order."""
    found: dict[str, list[int]] = {}
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return found
    for name in names:
        if match := _NAME.fullmatch(name):
            found.setdefault(match[1], []).append(int(match[2]))
    return {writer: sorted(found[writer]) for writer in sorted(found)}


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segment:
    """One segment open for reading.

    After ``frames`` has run out: ``end`` is the offset behind the last good frame,
    ``damage`` the (from, to) offsets skipped on the way, ``seal`` what ended it, if so.
    """

    def __init__(self, path: Path, window: int = WINDOW) -> None:
        """Open it; ``window`` is how many octets are read at once.

        Raises:
            JournalError: no header block is whole, or it belongs to another segment, so
                nothing in it can be trusted.
        """
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        blocks = os.pread(self._file, FIRST, 0)
        header = unpack_header(blocks)
        if (
            header is None
            or path.name != segment_path(path, header.writer, header.segment).name
        ):
            self.close()
            what = "is another segment's" if header else "is damaged, and so is its copy"
            raise JournalError(str(path), f"the header {what}")
        self.header: Header = header
        self.number = header.segment
        self.header_hurt = blocks != header.pack()  # one of its two blocks
        self.end = FIRST
        self.damage: list[tuple[int, int]] = []
        self.seal: Seal | None = None
        self._mark = bytes.fromhex(header.mark)
        self._reach, self._window, self._base = window, b"", 0
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def settle(self) -> None:
        """Have what was written so far made durable, so that no power cut takes it back."""
        os.fdatasync(self._file)

    def size(self) -> int:
        """Return the octets in the file now."""
        return os.fstat(self._file).st_size

    def frames(self, at: int = FIRST) -> Iterator[Frame]:
        """Yield good frames from ``at`` on, but for the seal; bodies are not looked at."""
        self._size, self._window, self._base = self.size(), b"", at
        while True:
            frame = self.frame(at)
            if frame is None:
                found = self._resync(at)
                if found is None:
                    break
                self.damage.append((at, found))
                at = found
                continue
            at = frame.raw_at + frame.raw_octets
            if frame.flags & SEAL:
                self.seal = unpack_seal(frame.text)
            else:
                yield frame
        self.end = at

    def near(self, ordinal: int) -> int:
        """Return the offset of a frame with this ordinal, or of one not far before it.

        Ordinals grow with offsets and nobody can guess the mark, so jumping into the
        middle of bodies is safe.
        """
        low, high = FIRST, self.size() if ordinal > 0 else FIRST
        while high - low > 2 * self._reach:
            middle = (low + high) // 2
            self._size, self._window, self._base = high, b"", middle
            at = self._resync(middle - 1)
            frame = None if at is None else self.frame(at)
            if at is None or frame is None or frame.ordinal > ordinal:
                high = middle
            else:
                low = at
        return low

    def peek(self, at: int) -> Frame | None:
        """Return the frame at this offset of the file as it is now."""
        self._size, self._window, self._base = self.size(), b"", at
        return self.frame(at)

    def frame(self, at: int) -> Frame | None:
        """Return the frame at this offset, if there is a good one."""
        start = at - self._base
        if start < 0 or start + HEAD.size > len(self._window):
            self._load(at, HEAD.size)
            start = 0
            if len(self._window) < HEAD.size:
                return None
        fields = HEAD.unpack_from(self._window, start)
        mark, head_crc, raw_octets, flags, raw_crc, ordinal, length = fields
        if mark != self._mark or length > JSON_LIMIT:
            return None
        if start + HEAD.size + length > len(self._window):
            self._load(at, HEAD.size + length)
            start = 0
        covered = self._window[start + COVERED : start + HEAD.size + length]
        raw_at = at + HEAD.size + length
        if crc32(covered) != head_crc or raw_at + raw_octets > self._size:
            return None
        text = covered[BODY.size :]
        return Frame(at, ordinal, flags, text, raw_at, raw_octets, raw_crc)

    def raw(self, frame: Frame) -> bytes | None:
        """Return the raw octets of a frame; None where they are damaged or were thinned."""
        if frame.flags & THINNED:
            return None
        start = frame.raw_at - self._base
        octets = self._window[start : start + frame.raw_octets] if start >= 0 else b""
        if len(octets) != frame.raw_octets:
            octets = _read(self._file, frame.raw_octets, frame.raw_at)
        return octets if crc32(octets) == frame.raw_crc else None

    def octets(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a stretch of the file in pieces."""
        while start < end:
            piece = os.pread(self._file, min(WINDOW, end - start), start)
            if not piece:
                raise JournalError(f"{self.path}, octet {start}", "cut while it was copied")
            yield piece
            start += len(piece)

    def _load(self, at: int, octets: int) -> None:
        self._window, self._base = _read(self._file, max(self._reach, octets), at), at

    def _resync(self, at: int) -> int | None:
        """Find the next good frame behind a bad one."""
        at += 1
        while at + HEAD.size <= self._size:
            self._load(at, HEAD.size)
            found = self._window.find(self._mark)
            while found >= 0:
                base, window = self._base, self._window
                if self.frame(base + found):
                    return base + found
                self._base, self._window = base, window  # frame() may have moved them
                found = self._window.find(self._mark, found + 1)
            at += max(1, len(self._window) - len(self._mark) + 1)
        return None


def _read(descriptor: int, octets: int, at: int) -> bytes:
    """Read so many octets, or up to the end; one pread may return fewer (2 GiB)."""
    piece = os.pread(descriptor, octets, at)
    if len(piece) == octets or not piece:
        return piece
    pieces = [piece]
    while piece and (octets := octets - len(piece)):
        at += len(piece)
        piece = os.pread(descriptor, octets, at)
        pieces.append(piece)
    return b"".join(pieces)
