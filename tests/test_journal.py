"""The journal: what was committed is there, exact to the octet, and nothing else is."""

import errno
import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest

from trapline import journal
from trapline.errors import JournalError, NoEntry, NotKept
from trapline.events import Entry, MailOffered, SessionClosed, SessionOpened, Stamp
from trapline.journal.segments import listing, segment_path

BODIES = [b"", b"\0", b"\xff\x80\n", b"bare\rCR and\nLF, no newline", bytes(range(256)) * 40]


def stamp(at: int = 1, sensor: str = "relay") -> Stamp:
    """Return a stamp of this time."""
    return Stamp(at=at, sensor=sensor, session="s", peer="192.0.2.7", port=4, local="x:25")


def mail(body: bytes | bytearray = b"") -> MailOffered:
    """Return the event that goes with a body."""
    digest = hashlib.sha256(body).hexdigest()
    return MailOffered(
        sender="a@b", recipients=("c@d",), content=digest, size=len(body), kept=len(body)
    )


def writer(directory: Path, name: str = "0", segment_octets: int = 2**20) -> journal.Writer:
    """Open a writer that needs no free disk."""
    return journal.Writer(directory, name, segment_octets=segment_octets, reserve_octets=0)


def test_bodies_come_back_exact_to_the_octet(tmp_path: Path) -> None:
    """Also empty ones, NUL, 8-bit, bare CR and LF."""
    hand = writer(tmp_path / "deep" / "journal")
    ids = [hand.append(stamp(n), mail(body), body) for n, body in enumerate(BODIES)]
    assert hand.pending == len(BODIES)
    hand.commit()
    assert hand.pending == 0
    hand.close()
    found = [journal.fetch(tmp_path / "deep" / "journal", name) for name in ids]
    assert [body for _, body in found] == BODIES
    assert [entry.event for entry, _ in found] == [mail(body) for body in BODIES]


def test_what_was_not_committed_is_not_kept(tmp_path: Path) -> None:
    """Planted fault: close() that commits."""
    hand = writer(tmp_path)
    hand.append(stamp(), SessionOpened())
    hand.close()
    assert not list(journal.read(tmp_path))
    hand.append(stamp(), SessionOpened())
    with pytest.raises(NotKept):
        hand.commit()


def test_entries_of_all_writers_come_in_order_of_time(tmp_path: Path) -> None:
    """Each writer's own order is by time; the merge keeps it so."""
    hands = [writer(tmp_path, name, segment_octets=2000) for name in ("0", "1", "desk")]
    for n in range(60):
        hands[n % 7 % 3].append(stamp(n), SessionOpened(via=str(n)))
        hands[n % 7 % 3].commit()
    assert [entry.stamp.at for entry in journal.read(tmp_path)] == list(range(60))
    assert len(listing(tmp_path)["0"]) > 2
    for hand in hands:
        hand.close()


def test_a_position_is_where_reading_goes_on(tmp_path: Path) -> None:
    """A tail sees rotation and new writers, each entry once."""
    hand = writer(tmp_path, segment_octets=3000)
    tail, seen = journal.Tail(tmp_path), list[Entry]()
    for n in range(100):
        hand.append(stamp(n), SessionOpened(via=str(n)))
        hand.commit()
        if n == 50:
            other = writer(tmp_path, "1")
            other.append(stamp(n), SessionOpened(via="other"))
            other.commit()
            other.close()
        if n % 9 == 0:
            seen += tail.poll(limit=7)
    while more := tail.poll():
        seen += more
    assert sorted(entry.id for entry in seen) == sorted(e.id for e in journal.read(tmp_path))
    assert not list(journal.read(tmp_path, tail.positions))
    assert journal.ends(tmp_path) == tail.positions
    hand.append(stamp(101), SessionOpened(via="last"))
    hand.commit()
    (last,) = journal.read(tmp_path, tail.positions)
    assert last.event == SessionOpened(via="last")
    hand.close()


def test_one_writer_a_name(tmp_path: Path) -> None:
    """The second is told so, and the first goes on unharmed."""
    first = writer(tmp_path)
    with pytest.raises(JournalError, match="another process"):
        writer(tmp_path)
    first.append(stamp(), SessionOpened())
    first.commit()
    first.close()
    writer(tmp_path).close()
    assert len(list(journal.read(tmp_path))) == 1


@pytest.mark.parametrize("name", ["", "a-b", "../x", "a/b", "x" * 33, "ü"])
def test_a_writers_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    """It becomes part of a path and of ids."""
    with pytest.raises(JournalError, match="name"):
        writer(tmp_path, name)


@pytest.mark.parametrize("name", ["", "0-1", "0-1-0", "0-9-9", "../../x-1-1", "0-1-x", "é-1-1"])
def test_no_such_entry(tmp_path: Path, name: str) -> None:
    """Whatever the id looks like."""
    writer(tmp_path).close()
    with pytest.raises(NoEntry):
        journal.fetch(tmp_path, name)


def test_a_crash_leaves_what_was_committed(tmp_path: Path) -> None:
    """A torn tail is cut, a new segment opened, ids stay."""
    hand = writer(tmp_path)
    kept = hand.append(stamp(1), mail(b"x" * 100), b"x" * 100)
    hand.commit()
    path = segment_path(tmp_path, "0", 1)
    whole = path.stat().st_size
    hand.append(stamp(2), mail(b"y" * 100), b"y" * 100)
    hand.commit()
    os.close(hand._lock)  # as if the process had died
    os.truncate(path, path.stat().st_size - 1)
    again = writer(tmp_path)
    assert path.stat().st_size > whole  # sealed
    second = again.append(stamp(3), SessionOpened())
    again.commit()
    again.close()
    assert [entry.id for entry in journal.read(tmp_path)] == [kept, second]


def test_a_batch_of_any_size_is_written(tmp_path: Path) -> None:
    """More vectors than one writev takes."""
    hand = writer(tmp_path, segment_octets=2**30)
    for n in range(3000):
        hand.append(stamp(n), mail(b"%d" % n), b"%d" % n)
    hand.commit()
    hand.close()
    assert sum(1 for _ in journal.read(tmp_path)) == 3000
    assert journal.fetch(tmp_path, "0-1-2999")[1] == b"2999"


def test_strangers_text_survives_as_latin_1(tmp_path: Path) -> None:
    """Each octet one character, NUL and escapes too."""
    event = SessionClosed(
        seconds=1.5,
        received=256,
        sent=1,
        reason="gone",
        dialogue=((0, "C", bytes(range(256)).decode("latin-1")),),
    )
    hand = writer(tmp_path)
    hand.append(stamp(), event)
    hand.commit()
    hand.close()
    assert next(journal.read(tmp_path)).event == event


def test_a_large_body_is_not_copied(tmp_path: Path) -> None:
    """30 MB are written from where they are; planted fault: a frame joined to its body."""
    body = bytearray(b"\r\n" * 15_000_000)
    hand, event = writer(tmp_path, segment_octets=2**30), mail(body)
    tracemalloc.start()
    try:
        hand.append(stamp(), event, body)
        hand.commit()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    hand.close()
    assert peak < 2**20
    assert journal.fetch(tmp_path, "0-1-0")[1] == bytes(body)


def test_a_failed_fsync_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept after it, and fsync is not asked a second time.

    Planted fault: a writer that tried again and believed the answer.
    """
    hand, calls = writer(tmp_path), list[int]()

    def broken(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "planted")

    monkeypatch.setattr(os, "fdatasync", broken)
    for _ in range(3):
        hand.append(stamp(), SessionOpened())
        with pytest.raises(NotKept, match="planted"):
            hand.commit()
    hand.close()
    assert len(calls) == 1


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes few octets at a time; planted fault: a writev believed whole."""
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda file, vectors: real(file, [bytes(vectors[0])[:7]]))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, octets: write(file, bytes(octets)[:11]))
    hand = writer(tmp_path)
    ids = [hand.append(stamp(n), mail(body), body) for n, body in enumerate(BODIES)]
    hand.commit()
    hand.close()
    assert [journal.fetch(tmp_path, name)[1] for name in ids] == BODIES
    assert journal.verify(tmp_path).ok


def test_ordinals_of_a_refused_batch_are_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever kept such an id must not find another entry under it.

    Planted fault: ordinals taken back with the batch.
    """
    hand = writer(tmp_path)
    with monkeypatch.context() as patch:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "planted")

        patch.setattr(os, "writev", full)
        lost = hand.append(stamp(1), SessionOpened())
        with pytest.raises(NotKept, match="full"):
            hand.commit()
    kept = hand.append(stamp(2), SessionOpened())
    hand.commit()
    hand.close()
    assert lost != kept
    with pytest.raises(NoEntry):
        journal.fetch(tmp_path, lost)
    assert [entry.id for entry in journal.read(tmp_path)] == [kept]
    assert journal.verify(tmp_path).ok
