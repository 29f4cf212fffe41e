"""Verification: every frame, every body, every link, against itself and against notes.

Damage is a place where a frame should be and is not; tampering that repairs every
checksum still breaks the chain, and tampering that repairs the chain still differs from
a chain head noted elsewhere.  Nothing is mended here, and nothing raises.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from trapline.errors import JournalError
from trapline.events import MailOffered, Record, SegmentDropped
from trapline.journal.frames import GENESIS, THINNED, Frame, chained
from trapline.journal.segments import Segment, listing, segment_path

_LOOKS: Final = 5  # at octets that may be a frame on its way to the disk
_LOOK_SECONDS: Final = 0.05
_decode: Final = msgspec.json.Decoder(Record).decode


class SegmentReport(msgspec.Struct, kw_only=True):
    """What was found in one segment; offsets and lengths are octets."""

    segment: str
    writer: str
    number: int
    octets: int = 0
    entries: int = 0
    bodies: int = 0
    thinned: int = 0
    sealed: bool = False
    torn: int = 0  # behind the last good frame, and not being written just now
    damage: list[tuple[int, int]] = []  # from, to
    troubles: list[str] = []
    previous: str = ""
    link: str = ""  # the chain's head behind the last entry
    chain_ok: bool = True

    @property
    def ok(self) -> bool:
        """Tell whether all is as it was written."""
        return self.chain_ok and not self.damage and not self.troubles


class Report(msgspec.Struct, kw_only=True):
    """What was found in a journal; ``noted`` says which noted heads were met."""

    ok: bool
    heads: dict[str, str]
    noted: dict[str, bool]
    segments: list[SegmentReport]


def verify(directory: Path, noted: Mapping[str, str] | None = None) -> Report:
    """Check all segments; ``noted`` are chain heads written down earlier, by writer."""
    wanted, met, dropped = noted or {}, set[str](), dict[str, str]()
    segments = []
    for writer, numbers in listing(directory).items():
        head = wanted.get(writer, "")
        for number in numbers:
            path = segment_path(directory, writer, number)
            report = SegmentReport(segment=path.name, writer=writer, number=number)
            with suppress(FileNotFoundError):  # dropped by the quota meanwhile
                if _check(path, report, head, dropped):
                    met.add(writer)
                segments.append(report)
    _check_links(segments, dropped)
    for writer, head in wanted.items():
        if any(name.startswith(f"{writer}-") and dropped[name] == head for name in dropped):
            met.add(writer)
    heads = {report.writer: report.link for report in segments}
    result = {writer: writer in met for writer in wanted}
    ok = all(report.ok for report in segments) and all(result.values())
    return Report(ok=ok, heads=heads, noted=result, segments=segments)


def _check(path: Path, report: SegmentReport, head: str, dropped: dict[str, str]) -> bool:
    """Fill in a segment's report; tell whether the noted head was passed on the way."""
    try:
        segment = Segment(path)
    except JournalError as error:
        report.octets = path.stat().st_size
        report.troubles.append(error.what)
        return False
    with segment:
        chain, passed = segment.header.chain(), False
        report.previous = segment.header.previous
        report.link = chain.hexdigest()
        for frame in segment.frames():
            chain.update(chained(frame))
            if head:
                passed = passed or chain.hexdigest() == head
            _check_frame(segment, frame, report, dropped)
        report.link = chain.hexdigest()
        report.octets = segment.size()
        report.torn = _torn(segment)
        report.damage = segment.damage
        _check_ends(segment, report)
    return passed or head == report.link


def _torn(segment: Segment) -> int:
    """Count the octets behind the last good frame, but for those being written now."""
    size, end = segment.size(), segment.end
    for _ in range(_LOOKS):
        if end >= size:
            return 0
        time.sleep(_LOOK_SECONDS)
        for _ in segment.frames(end):
            pass
        end = segment.end
    return max(0, size - end)


def _check_ends(segment: Segment, report: SegmentReport) -> None:
    if segment.header_hurt:
        report.troubles.append("one of the header blocks is damaged")
    if report.torn:
        report.troubles.append(f"{report.torn} octets behind the last good frame")
    report.sealed = segment.seal is not None
    if segment.seal:
        report.chain_ok = segment.seal.link == report.link
        if segment.seal.entries != report.entries:
            report.troubles.append(f"{segment.seal.entries} entries were sealed")


def _check_frame(
    segment: Segment, frame: Frame, report: SegmentReport, dropped: dict[str, str]
) -> None:
    report.entries += 1
    try:
        event = _decode(frame.text).event
    except (msgspec.DecodeError, UnicodeDecodeError):
        report.troubles.append(f"entry {frame.ordinal}: not understood by this version")
        return
    if isinstance(event, SegmentDropped):
        dropped[event.segment] = event.chain
    if frame.flags & THINNED:
        report.thinned += 1
        return
    if not frame.raw_octets and not isinstance(event, MailOffered):
        return
    report.bodies += 1
    octets = segment.raw(frame)
    if octets is None:
        report.troubles.append(f"entry {frame.ordinal}: body damaged")
    elif sha256(octets).hexdigest() != getattr(event, "content", ""):
        report.troubles.append(f"entry {frame.ordinal}: body is not the one recorded")


def _check_links(segments: Iterable[SegmentReport], dropped: Mapping[str, str]) -> None:
    """Compare what each header says of the segment before with what is there."""
    for report, before in _pairs(segments):
        if not report.previous:
            continue  # no header: troubles say so
        if before is None and report.number > 1:
            name = segment_path(Path(), report.writer, report.number - 1).name
            expected = dropped.get(name, "")
        else:
            expected = before.link if before else GENESIS
        if expected != report.previous:
            report.chain_ok = False


def _pairs(
    segments: Iterable[SegmentReport],
) -> Iterator[tuple[SegmentReport, SegmentReport | None]]:
    """Yield each segment with the one just before it, where that is there."""
    known = {(report.writer, report.number): report for report in segments}
    for (writer, number), report in known.items():
        yield report, known.get((writer, number - 1))
