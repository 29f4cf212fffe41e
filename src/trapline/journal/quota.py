"""The quota: what is given up when the journal has grown too large or too old.

First bodies beyond the first N alike, then the oldest bodies, then the oldest segments;
events outlive bodies.  Only complete segments are touched, never a writer's last, never one
above the position the lake has committed, never one with damage in it: hurt evidence
stays as it is.  Each loss is recorded in the journal itself.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from trapline.errors import JournalError
from trapline.events import BodiesThinned, Record, SegmentDropped, Stamp
from trapline.journal.frames import THINNED, Frame, Seal, chained, pack_head, seal_of
from trapline.journal.positions import Position
from trapline.journal.segments import Segment, listing, segment_path, sync_directory
from trapline.journal.writer import Writer

DAY: Final = 86_400 * 10**9  # nanoseconds
_SLACK: Final = 0.9  # of the quota is aimed at, or the next entry would begin it again
_COPY: Final = 2**20
_decode: Final = msgspec.json.Decoder(Record).decode


class Relief(msgspec.Struct, kw_only=True):
    """What was given up, and what is left, in octets."""

    bodies: int = 0
    segments: int = 0
    freed: int = 0
    left: int = 0


class _Old(msgspec.Struct, frozen=True):
    """A segment that may be touched."""

    created: int
    writer: str
    number: int
    ended: int  # when the segment after it was begun

    def path(self, directory: Path) -> Path:
        return segment_path(directory, self.writer, self.number)


def enforce(  # noqa: PLR0913 - the operator's whole policy, said once
    directory: Path,
    *,
    quota_octets: int,
    keep_days: int,
    keep_bodies: int,
    fingerprint: Callable[[bytes], str],
    below: Mapping[str, Position],
    writer: Writer,
    now: int,
) -> Relief:
    """Bring the journal below its quota and its age, as far as that is allowed.

    Args:
        directory: the journal.
        quota_octets: of all segments together.
        keep_days: segments that ended earlier are dropped, whatever the quota.
        keep_bodies: raw bodies kept of each fingerprint when space is short.
        fingerprint: the same text for near-identical bodies.
        below: the lake's committed position.
        writer: records what was given up; give it a smaller reserve than the traps'.
        now: nanoseconds since 1970.

    Raises:
        NotKept: a loss could not be recorded; what was not recorded was not dropped.
    """
    with _alone(directory):
        job = _Job(directory, writer, now, _touchable(directory, below))
        job.drop_until(lambda old: old.ended >= now - keep_days * DAY)
        if job.left > quota_octets:
            aim = int(quota_octets * _SLACK)
            job.thin_until(aim, _alike(keep_bodies, fingerprint))
            job.thin_until(aim, lambda _: True)
            job.drop_until(lambda _: job.left <= aim)
        job.relief.left = job.left
        return job.relief


class _Job:
    """One run of the quota."""

    def __init__(self, directory: Path, writer: Writer, now: int, old: list[_Old]) -> None:
        self._directory, self._writer, self._now, self._old = directory, writer, now, old
        self.relief = Relief()
        self.left = sum(path.stat().st_size for path in directory.glob("*.seg"))

    def thin_until(self, aim: int, surplus: Callable[[bytes], bool]) -> None:
        """Give up the bodies that are surplus, oldest first, until few enough are left."""
        for old in self._old:
            if self.left <= aim:
                return
            path = old.path(self._directory)
            before = path.stat().st_size
            bodies = _thin(path, surplus)
            if not bodies:
                continue
            freed = before - path.stat().st_size
            self._count(freed, bodies=bodies)
            event = BodiesThinned(segment=path.name, bodies=bodies, freed=freed)
            self._writer.append(Stamp(at=self._now, sensor="journal"), event)
        self._writer.commit()

    def drop_until(self, enough: Callable[[_Old], bool]) -> None:
        """Drop whole segments, oldest first, each on record before it goes."""
        while self._old and not enough(self._old[0]):
            old = self._old.pop(0)
            path = old.path(self._directory)
            octets = path.stat().st_size
            words = _last_words(path, self._directory)
            if not words:
                continue
            for event in words:
                self._writer.append(Stamp(at=self._now, sensor="journal"), event)
            self._writer.commit()
            path.unlink()
            sync_directory(self._directory)
            self._count(octets, segments=1)

    def _count(self, freed: int, *, bodies: int = 0, segments: int = 0) -> None:
        self.left -= freed
        self.relief.freed += freed
        self.relief.bodies += bodies
        self.relief.segments += segments


def _alike(keep: int, fingerprint: Callable[[bytes], str]) -> Callable[[bytes], bool]:
    """Return what tells whether a body is beyond the first ``keep`` of its kind."""
    seen = Counter[str]()

    def surplus(body: bytes) -> bool:
        if not (kind := fingerprint(body)):
            return False  # nothing to tell it by, so it is nobody's copy
        seen[kind] += 1
        return seen[kind] > keep

    return surplus


def _touchable(directory: Path, below: Mapping[str, Position]) -> list[_Old]:
    """Return the segments that may be touched if they are whole, oldest first."""
    found = []
    for writer, numbers in listing(directory).items():
        taken = below[writer].segment if writer in below else 0
        follower = 0  # when the one behind was begun
        for number in reversed(numbers):
            with suppress(JournalError), Segment(segment_path(directory, writer, number)) as x:
                if follower and number < taken:
                    found.append(_Old(x.header.created, writer, number, follower))
                follower = x.header.created
    return sorted(found, key=lambda old: (old.created, old.writer, old.number))


def _whole(segment: Segment) -> bool:
    """Tell, once its frames were read, whether nothing is hurt in a segment."""
    return not segment.damage and segment.end == segment.size()


def _thin(path: Path, surplus: Callable[[bytes], bool]) -> int:
    """Rewrite a segment without its surplus bodies; return how many went."""
    with Segment(path) as segment:
        gone = {
            frame.ordinal
            for frame in segment.frames()
            if frame.raw_octets and (octets := segment.raw(frame)) and surplus(octets)
        }
        if not gone or not _whole(segment):
            return 0
        temporary = path.with_suffix(".tmp")
        _rewrite(segment, temporary, gone)
    temporary.replace(path)
    sync_directory(path.parent)
    return len(gone)


def _rewrite(segment: Segment, temporary: Path, gone: set[int]) -> None:
    """Write a segment's copy, durable, in which some bodies are thinned."""
    mark, entries, ordinal = bytes.fromhex(segment.header.mark), 0, 0
    chain = segment.header.chain()
    with temporary.open("wb") as copy:
        copy.write(segment.header.pack())
        for frame in segment.frames():
            chain.update(chained(frame))
            entries, ordinal = entries + 1, frame.ordinal + 1
            if frame.ordinal in gone:
                copy.write(pack_head(mark, frame.ordinal, frame.text, b"", THINNED))
            else:
                copy.writelines(segment.octets(frame.at, frame.raw_at + frame.raw_octets))
        seal = segment.seal or Seal(entries=entries, link=chain.hexdigest())
        copy.write(seal_of(mark, ordinal, seal.entries, seal.link))
        copy.flush()
        os.fchmod(copy.fileno(), 0o640)
        os.fsync(copy.fileno())


def _last_words(path: Path, directory: Path) -> list[SegmentDropped]:
    """Return what must be on record when a segment goes; nothing if it must not go.

    Its own link, and those it held on record for others whose first segment left hangs
    on it.
    """
    edges, words = _before_first(listing(directory)), list[SegmentDropped]()
    with Segment(path) as segment:
        chain, entries = segment.header.chain(), 0
        for frame in segment.frames():
            chain.update(chained(frame))
            entries += 1
            event = _dropped(frame)
            if event and event.segment in edges:
                words.append(event)
        if not _whole(segment):
            return []
        # A crash while rotating, or a full disk, left it without a seal but complete.
        seal = segment.seal or Seal(entries=entries, link=chain.hexdigest())
    own = SegmentDropped(segment=path.name, entries=seal.entries, chain=seal.link)
    return [*words, own]


def _before_first(present: Mapping[str, list[int]]) -> set[str]:
    """Name the segments whose links the first segments left carry."""
    return {
        segment_path(Path(), writer, numbers[0] - 1).name for writer, numbers in present.items()
    }


def _dropped(frame: Frame) -> SegmentDropped | None:
    if b'"journal.dropped"' not in frame.text:
        return None
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        event = _decode(frame.text).event
        return event if isinstance(event, SegmentDropped) else None
    return None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep a second quota run out, and clear away what a killed one left."""
    descriptor = os.open(directory / "quota.lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _clear(directory)
        yield
    finally:
        _clear(directory)
        os.close(descriptor)


def _clear(directory: Path) -> None:
    for leftover in directory.glob("*.tmp"):
        leftover.unlink()
