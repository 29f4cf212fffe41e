"""The writing end: frames are gathered, then kept by one write and one fdatasync.

No thread and no timer live here: the caller commits at the end of a poll batch, so the
next batch gathers while the disk works on the last (natural group commit).  Ordinals are
never used twice, not even those of a batch that could not be kept.

Must not be in here: reading for analysis, quota.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from trapline.errors import JournalError, NotKept
from trapline.events import Event, Record, Stamp
from trapline.journal.frames import (
    CHAINED,
    FIRST,
    JSON_LIMIT,
    Header,
    pack_head,
    seal_of,
)
from trapline.journal.recovery import recover
from trapline.journal.segments import segment_path, sync_directory

SEGMENT_OCTETS: Final = 64 * 2**20
RESERVE_OCTETS: Final = 256 * 2**20
_LOOK_NANOSECONDS: Final = 10**9  # between two looks at the free space,
_LOOK_OCTETS: Final = 8 * 2**20  # unless so much was written since
_VECTORS: Final = min(1024, os.sysconf("SC_IOV_MAX"))
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,32}")


class Writer:
    """One writer's hold on its segments; see the module's docstring."""

    def __init__(
        self,
        directory: Path,
        writer: str,
        *,
        segment_octets: int = SEGMENT_OCTETS,
        reserve_octets: int = RESERVE_OCTETS,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Lock the name, mend what a crash left, and open a new segment.

        Args:
            directory: made if missing.
            writer: 1 to 32 letters, digits and underscores.
            segment_octets: a segment that has grown so far is followed by a new one.
            reserve_octets: free disk below which nothing is promised any more.
            now: nanoseconds since 1970.

        Raises:
            JournalError: the name is in use by another writer, or is not a name.
        """
        if not _NAME.fullmatch(writer):
            raise JournalError(repr(writer), "not a writer's name: letters, digits, _")
        self._directory, self._writer = directory, writer
        self._segment_octets, self.reserve, self._now = segment_octets, reserve_octets, now
        _make(directory)
        self._lock = _lock(directory / f"{writer}.lock")
        self._dead = ""
        self._file = -1
        self.free = 0  # octets on the disk when last looked at
        self._looked, self._since_look = -_LOOK_NANOSECONDS, 0
        self._encode = msgspec.json.Encoder().encode
        self._ordinal = self._kept = self._entries = 0
        self._end = FIRST
        self._vectors: list[bytes | bytearray] = []
        self._heads: list[bytes] = []
        try:
            self._start()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def pending(self) -> int:
        """Tell how many entries wait for the next commit."""
        return len(self._heads)

    def append(self, stamp: Stamp, event: Event, content: bytes | bytearray = b"") -> str:
        """Take an entry into the next commit and return its id.

        ``content`` is neither copied nor hashed here: it must stay as it is until the
        commit, and ``event.content`` must be its SHA-256, or ``verify`` will tell.
        """
        # record: any Event is one of AnyEvent
        text = self._encode(Record(stamp=stamp, event=event))  # type: ignore[arg-type]
        if len(text) > JSON_LIMIT:
            raise JournalError(self._writer, f"an event of {len(text)} octets is too large")
        ordinal = self._ordinal
        self._ordinal = ordinal + 1
        head = pack_head(self._mark, ordinal, text, content, 0)
        self._heads.append(head)
        self._vectors.append(head)
        if content:
            self._vectors.append(content)
        return self._prefix + str(ordinal)

    def commit(self, *, spare_nothing: bool = False) -> None:
        """Put all that was appended on disk: one write, one fdatasync.

        Args:
            spare_nothing: take even of the reserve, to tell that the disk is short.

        Raises:
            NotKept: nothing of it is kept.  When the disk is short, later commits may
                succeed again; after any other failure of the disk none ever will.
        """
        if not self._heads:
            return
        vectors, heads = self._vectors, self._heads
        self._vectors, self._heads = [], []
        if self._dead:
            raise NotKept(self._dead)
        octets = sum(map(len, vectors))
        if not spare_nothing:
            self._look(octets)
        self._write(vectors, octets)
        for head in heads:
            self._chain.update(memoryview(head)[CHAINED:])
        self._kept = self._ordinal
        self._entries += len(heads)
        self._since_look += octets
        if self._end >= self._segment_octets:
            self._rotate()

    def close(self) -> None:
        """Seal the segment and let go of the name; what was not committed is not kept."""
        if self._file >= 0 and not self._dead:
            self._seal()
        self._release()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        self._dead = self._dead or "the journal is closed"

    def _start(self) -> None:
        """Mend what a crash left and open the next segment."""
        last, link = recover(self._directory, self._writer)
        self._prepare(last + 1, link)
        try:
            self._open()
        except OSError as error:
            # A full disk must not keep the traps from starting: they answer 452.
            if error.errno not in _FULL:
                raise

    # -- segments ----------------------------------------------------------------------

    def _prepare(self, segment: int, previous: str) -> None:
        """Settle what the next segment is called, so that ids can be given out."""
        mark = secrets.token_bytes(8)
        self._header = Header(
            writer=self._writer,
            segment=segment,
            mark=mark.hex(),
            created=self._now(),
            previous=previous,
        )
        self._mark, self._chain = mark, self._header.chain()
        self._prefix = f"{self._writer}-{segment}-"
        self._ordinal = self._kept = self._entries = 0
        self._end = FIRST

    def _open(self) -> None:
        """Create the prepared segment, durable with its name before anything is in it."""
        path = segment_path(self._directory, self._writer, self._header.segment)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        try:
            _write_all(descriptor, [self._header.pack()])
            os.fsync(descriptor)
            sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._file = descriptor

    def _rotate(self) -> None:
        """Seal the segment and go on in a new one; on a short disk, in the old one."""
        kept = (self._file, self._header, self._mark, self._chain, self._prefix)
        counts = (self._kept, self._entries, self._end)
        self._prepare(self._header.segment + 1, self._chain.hexdigest())
        try:
            self._open()
        except OSError as error:
            self._file, self._header, self._mark, self._chain, self._prefix = kept
            self._kept, self._entries, self._end = counts
            self._ordinal = self._kept
            if error.errno not in _FULL:
                self._dead = f"no new segment: {error}"
            return
        # Sealed only now: a crash in between leaves an unsealed segment with a follower
        # whose header carries the link, which is as good.
        _seal(kept[0], kept[2], counts, kept[3].hexdigest())
        os.close(kept[0])

    def _seal(self) -> None:
        counts = (self._kept, self._entries, self._end)
        _seal(self._file, self._mark, counts, self._chain.hexdigest())

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # -- the disk ----------------------------------------------------------------------

    def look(self) -> int:
        """Return how many octets of the disk are free this moment."""
        try:
            disk = os.statvfs(self._directory)
        except OSError as error:
            self._die(error)
        self.free = disk.f_bavail * disk.f_frsize
        self._looked, self._since_look = self._now(), 0
        return self.free

    def _look(self, octets: int) -> None:
        """Refuse when the disk is short; look at it seldom, it costs a system call."""
        now = self._now()
        if abs(now - self._looked) >= _LOOK_NANOSECONDS or self._since_look >= _LOOK_OCTETS:
            self.look()
        if self.free - self._since_look - octets < self.reserve:
            # What a refused batch wanted is not held against the next, smaller one.
            raise NotKept(f"{self.free} octets free, {self.reserve} are in reserve")

    def _write(self, vectors: list[bytes | bytearray], octets: int) -> None:
        """Write and sync a batch, or leave the file as it was."""
        try:
            if self._file < 0:
                self._open()
            _write_all(self._file, vectors)
        except OSError as error:
            if error.errno not in _FULL:
                self._die(error)
            self._cut_back()
            raise NotKept(f"the disk is full: {error}") from error
        try:
            os.fdatasync(self._file)
        except OSError as error:
            # The kernel may have dropped the pages: a second fsync would lie.
            self._die(error)
        self._end += octets

    def _cut_back(self) -> None:
        """Take back what of a batch got into the file before the disk was full."""
        if self._file < 0:
            return
        try:
            os.ftruncate(self._file, self._end)
        except OSError as error:
            self._die(error)

    def _die(self, error: OSError) -> NoReturn:
        self._dead = f"the journal cannot be written any more: {error}"
        raise NotKept(self._dead) from error


def _make(directory: Path) -> None:
    """Make a directory durable, with those above it that are missing."""
    if directory.is_dir():
        return
    _make(directory.parent)
    directory.mkdir(mode=0o750, exist_ok=True)
    sync_directory(directory.parent)


def _lock(path: Path) -> int:
    """Hold a writer's name as long as the process lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise JournalError(str(path), "another process writes under this name") from error
    return descriptor


def _seal(file: int, mark: bytes, counts: tuple[int, int, int], link: str) -> None:
    """End a segment; a full disk leaves it without a seal, which readers bear."""
    ordinal, entries, end = counts
    try:
        _write_all(file, [seal_of(mark, ordinal, entries, link)])
        os.fdatasync(file)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, end)


def _write_all(file: int, vectors: list[bytes | bytearray]) -> None:
    """Write all octets of all vectors, however few the kernel takes at a time."""
    for first in range(0, len(vectors), _VECTORS):
        group = vectors[first : first + _VECTORS]
        written = os.writev(file, group)
        left = sum(map(len, group)) - written
        if left:
            _write_rest(file, group, written)


def _write_rest(file: int, group: list[bytes | bytearray], written: int) -> None:
    """Write what a short writev left over."""
    for vector in group:
        if written >= len(vector):
            written -= len(vector)
            continue
        with memoryview(vector) as whole:
            while written < len(vector):
                written += os.write(file, whole[written:])
        written = 0
