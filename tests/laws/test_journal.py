"""Laws of the journal: hurt it anywhere, and it neither lies nor falls over."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline import journal
from trapline.errors import JournalError
from trapline.events import Entry, Event, MailOffered, SessionOpened, Stamp
from trapline.journal import frames as f
from trapline.journal.segments import Segment, segment_path

BODY = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\0" * 50, b"\r\n.\r\n"]),
    st.integers(100, 700).map(lambda octets: b"\xa5" * octets),
)
BATCHES = st.lists(st.lists(BODY, min_size=1, max_size=4), min_size=1, max_size=5)
ENTRIES = dict[str, tuple[Entry, bytes]]


def mail(body: bytes) -> Event:
    """Return the event that goes with a body."""
    digest = hashlib.sha256(body).hexdigest()
    return MailOffered(
        sender="a@b", recipients=("c@d",), content=digest, size=len(body), kept=len(body)
    )


@contextmanager
def folder() -> Iterator[Path]:
    """Lend a directory; hypothesis runs one test many times."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def fill(directory: Path, batches: list[list[bytes]], name: str = "0") -> list[tuple[int, str]]:
    """Write and commit batches and close; return (size after the commit, id) of each entry."""
    hand = journal.Writer(directory, name, reserve_octets=0)
    path, kept = directory / f"{name}-00000001.seg", []
    for at, batch in enumerate(batches):
        ids = [hand.append(Stamp(at=at), mail(body), body) for body in batch]
        hand.commit()
        kept += [(path.stat().st_size, entry_id) for entry_id in ids]
    hand.close()
    return kept


def content(directory: Path) -> ENTRIES:
    """Return all that can be read, bodies too where they are whole."""
    found: ENTRIES = {}
    for entry in journal.read(directory):
        try:
            again, body = journal.fetch(directory, entry.id)
        except JournalError:
            continue
        assert again == entry
        assert body is not None
        found[entry.id] = (entry, body)
    return found


@settings(max_examples=150, deadline=None)
@given(BATCHES, st.integers(0, 1500), st.booleans())
def test_cut_anywhere_what_was_committed_before_is_there(
    batches: list[list[bytes]],
    back: int,
    zeros: bool,  # noqa: FBT001 - hypothesis names it
) -> None:
    """And nothing else; also after recovery, which never reads half a record.

    What never reached the disk may be missing or read as zeros.  Planted fault: a
    recovery that looked at heads only kept a frame with half a body.
    """
    with folder() as directory:
        kept = fill(directory, batches)
        before = content(directory)
        path = segment_path(directory, "0", 1)
        whole = path.stat().st_size
        cut = max(0, whole - back)
        os.truncate(path, cut)
        if zeros:
            os.truncate(path, whole)
        committed = {entry_id for size, entry_id in kept if size <= cut}
        for _ in ("hurt", "mended"):
            found = content(directory)
            assert committed <= set(found)
            assert all(before[entry_id] == pair for entry_id, pair in found.items())
            fill_more(directory)
        assert journal.verify(directory).ok


def fill_more(directory: Path) -> None:
    """Start and stop a writer, which mends."""
    journal.Writer(directory, "0", reserve_octets=0).close()


@settings(max_examples=150, deadline=None)
@given(BATCHES, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=3))
def test_flipped_bits_never_raise_never_invent_and_are_told(
    batches: list[list[bytes]], flips: list[tuple[float, int]]
) -> None:
    """Whatever is hit: header, lengths, text, body, seal.

    Planted fault: bodies without a checksum of their own; damage went unreported.
    """
    with folder() as directory:
        fill(directory, batches)
        before = content(directory)
        path = segment_path(directory, "0", 1)
        octets = bytearray(path.read_bytes())
        whole = bytes(octets)
        for where, bit in flips:
            octets[int(where * (len(octets) - 1))] ^= 1 << bit
        path.write_bytes(octets)
        found = content(directory)
        assert all(before[entry_id] == pair for entry_id, pair in found.items())
        assert journal.verify(directory).ok == (bytes(octets) == whole)
        fill_more(directory)
        after = content(directory)
        assert all(before[entry_id] == pair for entry_id, pair in after.items())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_body_of_frames_yields_no_entry(data: st.DataObject) -> None:
    """Frames of other segments inside a body stay a body, even behind damage.

    Planted fault: one mark for all segments; frames in bodies came alive behind damage.
    """
    with folder() as directory:
        fill(directory / "other", [[b"forged"], [b"forged again"]])
        forged = segment_path(directory / "other", "0", 1).read_bytes()
        fill(directory / "real", [[b"before"], [forged * 2], [b"behind"]])
        path = segment_path(directory / "real", "0", 1)
        octets = bytearray(path.read_bytes())
        if data.draw(st.booleans()):
            start = octets.find(forged) - data.draw(st.integers(1, 200))
            octets[start] ^= 0x55
            path.write_bytes(octets)
        bodies = [body for _, body in content(directory / "real").values()]
        assert set(bodies) <= {b"before", forged * 2, b"behind"}
        assert b"behind" in bodies


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=60))
def test_a_merge_is_in_order_and_complete(steps: list[tuple[str, int]]) -> None:
    """Whoever wrote what when, in however many segments."""
    with folder() as directory:
        hands = {
            name: journal.Writer(directory, name, reserve_octets=0, segment_octets=1200)
            for name in "abc"
        }
        at, ids = 0, []
        for name, pause in steps:
            at += pause
            ids.append(hands[name].append(Stamp(at=at), SessionOpened()))
            hands[name].commit()
        for hand in hands.values():
            hand.close()
        entries = list(journal.read(directory))
        assert sorted(entry.id for entry in entries) == sorted(ids)
        times = [entry.stamp.at for entry in entries]
        assert times == sorted(times)
        for at in range(0, len(entries), 7):
            rest = journal.read(directory, journal.after(directory, entries[at].id))
            behind = [e.id for e in rest if e.stamp.at > entries[at].stamp.at]
            assert set(behind) == {e.id for e in entries if e.stamp.at > entries[at].stamp.at}


@pytest.mark.parametrize("followed", [True, False])
@pytest.mark.parametrize("edit", ["event", "body", "drop", "swap"])
def test_tampering_that_mends_every_checksum_shows(
    tmp_path: Path, edit: str, *, followed: bool
) -> None:
    """The seal tells, and the next header; a noted head tells even of a forged seal.

    Planted fault: a seal that nobody compared.
    """
    fill(tmp_path, [[b"one"], [b"two"], [b"three"]])
    if followed:
        fill_more(tmp_path)
    good = journal.verify(tmp_path)
    assert good.ok
    forge(tmp_path, edit)
    assert not journal.verify(tmp_path).ok
    assert not journal.verify(tmp_path, good.heads).ok
    assert journal.verify(tmp_path, {"0": "0" * 64}).noted == {"0": False}


def forge(directory: Path, edit: str) -> None:
    """Write the segment anew, its frames changed and their checksums right."""
    path = segment_path(directory, "0", 1)
    with Segment(path) as segment:
        mark, out = bytes.fromhex(segment.header.mark), [segment.header.pack()]
        found = [(frame, segment.raw(frame) or b"") for frame in segment.frames()]
        assert segment.seal
        link = segment.seal.link
    if edit == "drop":
        del found[1]
    if edit == "swap":
        found[0], found[1] = found[1], found[0]
    for n, (frame, raw) in enumerate(found):
        text = frame.text.replace(b"a@b", b"x@y") if edit == "event" and n == 1 else frame.text
        body = b"TWO" if edit == "body" and n == 1 else raw
        out += [f.pack_head(mark, frame.ordinal, text, body, 0), body]
    out.append(f.seal_of(mark, 3, len(found), link))
    shutil.copyfile(path, directory / "kept")
    path.write_bytes(b"".join(out))
