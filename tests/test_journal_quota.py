"""The quota: what goes first, what never goes, and that each loss is on record."""

from pathlib import Path

import pytest
from tests.test_journal import mail, stamp, writer

from trapline import journal
from trapline.errors import JournalError
from trapline.events import BodiesThinned, MailOffered, SegmentDropped
from trapline.journal import quota
from trapline.journal.positions import Position
from trapline.journal.quota import DAY
from trapline.journal.segments import Segment, listing, segment_path

EVERYTHING = {name: Position(10**6, 0) for name in ("0", "1", "watch")}


def campaigns(directory: Path, count: int = 40) -> list[str]:
    """Write two campaigns' messages in turn, several segments of them."""
    hand = writer(directory, segment_octets=10_000)
    ids = []
    for n in range(count):
        body = b"campaign %d, copy %03d " % (n % 2, n) + b"x" * 1000
        ids.append(hand.append(stamp(n), mail(body), body))
        hand.commit()
    hand.close()
    return ids


def kind(body: bytes) -> str:
    """Fingerprint by the campaign's number."""
    return body[:10].decode()


def relieve(
    directory: Path, quota: int, below: dict[str, Position] | None = None, keep_days: int = 10
) -> journal.Relief:
    """Enforce a quota as ``watch`` does."""
    hand = writer(directory, "watch")
    try:
        return journal.enforce(
            directory,
            quota_octets=quota,
            keep_days=keep_days,
            keep_bodies=3,
            fingerprint=kind,
            below=EVERYTHING if below is None else below,
            writer=hand,
            now=9 * DAY,
        )
    finally:
        hand.close()


def size(directory: Path) -> int:
    """Add up the segments."""
    return sum(path.stat().st_size for path in directory.glob("*.seg"))


def bodies(directory: Path) -> dict[str, bytes | None]:
    """Return the bodies of all mail entries, None where thinned."""
    return {
        entry.id: journal.fetch(directory, entry.id)[1]
        for entry in journal.read(directory)
        if isinstance(entry.event, MailOffered)
    }


def test_below_the_quota_nothing_is_given_up(tmp_path: Path) -> None:
    """Not even the thousandth copy."""
    campaigns(tmp_path)
    before = size(tmp_path)
    relief = relieve(tmp_path, before * 2)
    assert (relief.freed, relief.bodies, relief.segments) == (0, 0, 0)
    assert None not in bodies(tmp_path).values()


def test_copies_go_first_events_and_ids_stay(tmp_path: Path) -> None:
    """The first three of each campaign are kept; the chain holds; the loss is recorded."""
    ids = campaigns(tmp_path)
    before, whole = bodies(tmp_path), size(tmp_path)
    relief = relieve(tmp_path, int(whole * 0.6))
    after = bodies(tmp_path)
    assert list(after) == ids
    assert all(body in (None, before[entry_id]) for entry_id, body in after.items())
    assert None not in [after[entry_id] for entry_id in ids[:6]]
    assert relief.bodies == list(after.values()).count(None) > 5
    assert relief.segments == 0
    assert size(tmp_path) <= whole * 0.6
    report = journal.verify(tmp_path)
    assert report.ok
    assert sum(segment.thinned for segment in report.segments) == relief.bodies
    told = [e.event for e in journal.read(tmp_path) if isinstance(e.event, BodiesThinned)]
    assert sum(event.bodies for event in told) == relief.bodies


def test_then_the_oldest_bodies_then_the_oldest_segments(tmp_path: Path) -> None:
    """And what is left still verifies, from its first link on."""
    campaigns(tmp_path)
    heads = journal.verify(tmp_path).heads
    relief = relieve(tmp_path, 16_000)
    assert relief.segments > 0
    assert listing(tmp_path)["0"][0] == relief.segments + 1
    dropped = [e.event for e in journal.read(tmp_path) if isinstance(e.event, SegmentDropped)]
    assert len(dropped) == relief.segments
    assert journal.verify(tmp_path).ok
    assert journal.verify(tmp_path, heads).ok
    first = segment_path(tmp_path, "0", listing(tmp_path)["0"][0])
    first.unlink()
    assert not journal.verify(tmp_path).ok


def test_nothing_above_the_lake_nor_the_last_nor_the_hurt_is_touched(tmp_path: Path) -> None:
    """Whatever the quota."""
    campaigns(tmp_path)
    numbers = listing(tmp_path)["0"]
    hurt = segment_path(tmp_path, "0", 2)
    octets = bytearray(hurt.read_bytes())
    octets[700] ^= 1
    hurt.write_bytes(octets)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("0-*.seg")}
    relieve(tmp_path, 1, below={"0": Position(4, 0)})
    after = {path.name: path.read_bytes() for path in tmp_path.glob("0-*.seg")}
    assert set(before) - set(after) == {f"0-{n:08d}.seg" for n in (1, 3)}
    assert all(before[name] == octets for name, octets in after.items())
    assert numbers[-1] in listing(tmp_path)["0"]
    relieve(tmp_path, 1, below={})
    assert {path.name for path in tmp_path.glob("0-*.seg")} == set(after)


def test_the_record_of_a_drop_outlives_its_own_segment(tmp_path: Path) -> None:
    """The first segment left of "0" hangs on a record in "watch", which grows old too."""
    campaigns(tmp_path)
    relieve(tmp_path, 16_000)
    for _ in range(3):
        writer(tmp_path, "watch").close()
    before = listing(tmp_path)["0"]
    relieve(tmp_path, 1, below={"watch": Position(10**6, 0)})
    assert listing(tmp_path)["0"] == before
    assert listing(tmp_path)["watch"][0] > 1
    assert journal.verify(tmp_path).ok


def test_old_segments_go_by_age(tmp_path: Path) -> None:
    """Segments are created at real time here, which is later than day 9 of 1970."""
    campaigns(tmp_path)
    assert relieve(tmp_path, 10**9).segments == 0
    hand = writer(tmp_path, "watch")
    relief = journal.enforce(
        tmp_path,
        quota_octets=10**9,
        keep_days=1,
        keep_bodies=3,
        fingerprint=kind,
        below=EVERYTHING,
        writer=hand,
        now=10**19,
    )
    hand.close()
    assert relief.segments > 3
    assert len(listing(tmp_path)["0"]) == 1
    assert journal.verify(tmp_path).ok


@pytest.mark.parametrize("quota", [0.6, 0.1])
def test_a_segment_that_could_not_be_sealed_is_no_exception(
    tmp_path: Path, quota: float
) -> None:
    """A full disk takes the seal first, and that is when room must be made."""
    ids = campaigns(tmp_path)
    for number in (1, 2):
        path = segment_path(tmp_path, "0", number)
        octets = path.read_bytes()
        with Segment(path) as segment:
            mark = bytes.fromhex(segment.header.mark)
        path.write_bytes(octets[: octets.rindex(mark)])
    assert journal.verify(tmp_path).ok
    assert relieve(tmp_path, int(size(tmp_path) * quota)).bodies > 0
    assert journal.verify(tmp_path).ok
    assert set(bodies(tmp_path)) <= set(ids)


def test_readers_go_on_through_thinning_and_dropping(tmp_path: Path) -> None:
    """A tail that stands in the middle of a rewritten segment misses and doubles nothing."""
    ids = campaigns(tmp_path)
    tail = journal.Tail(tmp_path)
    seen = [entry.id for entry in tail.poll(limit=13)]
    half = journal.Tail(tmp_path, tail.positions)
    reading = journal.read(tmp_path)
    first = next(reading).id
    relieve(tmp_path, size(tmp_path) // 2)
    mails = [e.id for e in half.poll() if isinstance(e.event, MailOffered)]
    assert seen + mails == ids
    assert [first] + [e.id for e in reading if isinstance(e.event, MailOffered)] == ids


def test_a_hint_that_hits_another_frame_after_thinning_is_not_believed(
    tmp_path: Path,
) -> None:
    """Frames are all alike here, so that each offset of old is one of a frame anew.

    Planted fault: a hint believed because there was some frame.
    """
    probe = writer(tmp_path / "probe")
    probe.append(stamp(1), mail(b"x" * 500), b"x" * 500)
    body = b"x" * len(probe._heads[0])
    probe.close()
    hand = writer(tmp_path, segment_octets=30_000)
    for _ in range(60):
        hand.append(stamp(1), mail(body), body)
        hand.commit()
    hand.close()
    tail = journal.Tail(tmp_path)
    taken = len(tail.poll(limit=7))
    relieve(tmp_path, int(size(tmp_path) * 0.8))
    assert None in bodies(tmp_path).values()
    rest = [entry for entry in tail.poll() if isinstance(entry.event, MailOffered)]
    assert taken + len(rest) == 60


def test_a_damaged_body_is_never_handed_out(tmp_path: Path) -> None:
    """Evidence is exact or it is not given."""
    (first, *_) = campaigns(tmp_path, 2)
    path = segment_path(tmp_path, "0", 1)
    octets = bytearray(path.read_bytes())
    octets[octets.find(b"xxxx")] ^= 1
    path.write_bytes(octets)
    with pytest.raises(JournalError, match="damaged"):
        journal.fetch(tmp_path, first)
    assert len(list(journal.read(tmp_path))) == 2


def test_what_cannot_be_told_apart_is_nobodys_copy() -> None:
    """Planted fault: bodies without a fingerprint were thinned as copies of one another."""
    surplus = quota._alike(1, lambda body: body.decode().strip())
    assert [surplus(body) for body in (b"a", b"a", b" ", b" ", b"b")] == [
        False, True, False, False, False,
    ]  # fmt: skip
