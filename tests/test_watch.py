"""Watch: the wheel judges what fell in, delivers it, says so, and turns on after failures."""

import os
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.laws.journals import (
    NOON,
    SECOND,
    Journal,
    Step,
    bounce,
    configured,
    published,
    spam,
    withdrawal,
)

from trapline import config, journal, watch
from trapline.config import Config
from trapline.errors import ConfigError
from trapline.events import BodiesThinned, ListDelivered, SegmentDropped
from trapline.inquiry import Inquiry
from trapline.lake import Lake
from trapline.listings import Indicator, Kind
from trapline.watch import Turn, Wheel

HOST = Indicator(Kind.HOST, "16.2.2.2")


def at(seconds: float) -> int:
    """Return a moment after NOON."""
    return NOON + int(seconds * SECOND)


def caught(home: Path, *steps: Step) -> None:
    """Put steps on disk, by writers that end there."""
    made = Journal(home)
    made.write(steps)
    made.close()


def turn(loaded: Config, home: Path, seconds: float) -> Turn:
    """Turn a new wheel once."""
    with Wheel(loaded, home, lambda: 0) as wheel:
        return wheel.turn(at(seconds))


def delivered(home: Path) -> list[ListDelivered]:
    """Return what the journal says of deliveries."""
    entries = journal.read(home / "journal")
    return [e.event for e in entries if isinstance(e.event, ListDelivered)]


def test_what_fell_in_is_published_and_recorded(tmp_path: Path) -> None:
    """Five formats, each with its event; the second turn has nothing to say."""
    loaded = configured(tmp_path)
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(loaded, tmp_path, lambda: 0) as wheel:
        first = wheel.turn(at(10))
        assert (first.taken, first.news, len(first.deliveries)) == (2, True, 5)
        again = wheel.turn(at(15))
        assert (again.news, again.deliveries) == (False, ())
    assert published(tmp_path)[".plain"] == b"16.2.2.2\n"
    events = delivered(tmp_path)
    assert sorted(e.format for e in events) == sorted(form[1:] for form in published(tmp_path))
    assert not any(e.trouble or e.dry_run for e in events)


def test_entries_wait_for_writers_that_are_late(tmp_path: Path) -> None:
    """Behind the watermark, and not for ever."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 9, "16.2.2.2"))
    with Wheel(configured(tmp_path), tmp_path, lambda: 0) as wheel:
        early = wheel.turn(at(10))
        assert (early.waiting, early.verdicts and early.verdicts.listings) == (1, ())
        assert wheel.turn(at(11.1)).news


def test_a_dry_run_writes_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    """And its event says that it was one."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    done = turn(configured(tmp_path, publish="dry-run"), tmp_path, 10)
    assert published(tmp_path) == {}
    assert "would write 1 listings (1 added, 0 removed)" in str(done.deliveries[1])
    assert all(event.dry_run for event in delivered(tmp_path))


def test_a_delivery_that_fails_is_told_once_and_tried_again(tmp_path: Path) -> None:
    """The others are delivered; the next try waits, and its success is told."""
    loaded = configured(tmp_path)
    broken = msgspec.structs.replace(loaded.publish[0], reload=(str(tmp_path / "reload"),))
    loaded = msgspec.structs.replace(loaded, publish=(broken, *loaded.publish[1:]))
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(loaded, tmp_path, lambda: 0) as wheel:
        first = wheel.turn(at(10))
        assert [bool(d.trouble) for d in first.deliveries] == [True] + [False] * 4
        assert published(tmp_path)[".plain"] == b"", "an empty list stands in for the new one"
        assert wheel.turn(at(20)).deliveries == ()
        assert wheel.turn(at(80)).deliveries == (), "the same trouble is no news"
        (tmp_path / "reload").write_text("#!/bin/sh\n")
        (tmp_path / "reload").chmod(0o755)
        (mended,) = wheel.turn(at(150)).deliveries
        assert mended.trouble == ""
    assert b"16.2.2.2" in published(tmp_path)[".plain"]
    troubles = [e.trouble for e in delivered(tmp_path) if e.format == "plain"]
    assert [bool(trouble) for trouble in troubles] == [True, False]


def test_a_source_of_genuine_mail_that_vanishes_stops_the_turn_not_the_wheel(
    tmp_path: Path,
) -> None:
    """What is published stays; nothing is tried on less mail than was named."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(configured(tmp_path), tmp_path, lambda: 0) as wheel:
        wheel.turn(at(10))
        before = published(tmp_path)
        (tmp_path / "ham.eml").rename(tmp_path / "away")
        with pytest.raises(ConfigError, match=r"genuine.mail\[0\]"):
            wheel.turn(at(100))
        assert published(tmp_path) == before
        (tmp_path / "away").rename(tmp_path / "ham.eml")
        wheel.turn(at(110))


def test_who_turns_up_in_genuine_mail_is_taken_off(tmp_path: Path) -> None:
    """With the next look at the archive, without a word from anybody."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(configured(tmp_path), tmp_path, lambda: 0) as wheel:
        wheel.turn(at(10))
        ham = (tmp_path / "ham.eml").read_bytes()
        (tmp_path / "ham.eml").write_bytes(ham.replace(b"16.1.1.1", b"16.2.2.2"))
        os.utime(tmp_path / "ham.eml", ns=(1, 1))
        later = wheel.turn(at(100))
    assert later.verdicts is not None
    assert [t.hits for t in later.verdicts.refused] == [1]
    assert b"16.2.2.2" not in published(tmp_path)[".plain"]


def test_a_withdrawal_takes_effect_with_the_next_turn(tmp_path: Path) -> None:
    """Everywhere."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    turn(configured(tmp_path), tmp_path, 10)
    caught(tmp_path, withdrawal("desk", 11, "host 16.2.2.2"))
    turn(configured(tmp_path), tmp_path, 20)
    assert not any(b"16.2.2.2" in text for text in published(tmp_path).values())


def test_a_listing_ends_with_its_term_though_nothing_fell_in(tmp_path: Path) -> None:
    """Planted: a court that sits only for new entries kept the host listed."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(configured(tmp_path, term_days=0.001), tmp_path, lambda: 0) as wheel:
        wheel.turn(at(10))
        wheel.turn(at(20))  # takes in what the first turn recorded
        assert b"16.2.2.2" in published(tmp_path)[".plain"]
        wheel.turn(at(100))
    assert b"16.2.2.2" not in published(tmp_path)[".plain"]


def test_other_settings_are_another_court(tmp_path: Path) -> None:
    """A snapshot made under other rules is not gone on from."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    turn(configured(tmp_path), tmp_path, 10)
    turn(configured(tmp_path, threshold=50.0), tmp_path, 20)
    assert b"16.2.2.2" not in published(tmp_path)[".plain"]


def test_another_journal_under_the_same_names_is_another_story(tmp_path: Path) -> None:
    """Planted: comparing segment numbers alone kept the old suspects."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    turn(configured(tmp_path), tmp_path, 10)
    for path in (tmp_path / "journal").iterdir():
        path.unlink()
    caught(tmp_path, spam("0", 1, "16.3.3.3"), spam("0", 2, "16.3.3.3"))
    asked = Inquiry(configured(tmp_path), tmp_path, at(20))
    assert asked.suspect(HOST) is None
    assert asked.suspect(Indicator(Kind.HOST, "16.3.3.3")) is not None


def test_the_desk_knows_what_fell_in_a_moment_ago(tmp_path: Path) -> None:
    """With and without a watch before it; bounces accuse nobody."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), bounce("0", 2, "16.4.4.4"))
    assert Inquiry(configured(tmp_path), tmp_path, at(2)).suspect(HOST) is not None
    turn(configured(tmp_path), tmp_path, 2)
    caught(tmp_path, spam("0", 2.5, "16.2.2.2"))
    asked = Inquiry(configured(tmp_path), tmp_path, at(2.5))
    assert [x.indicator for x in asked.verdicts().listings if x.network] == [HOST]
    assert asked.suspect(Indicator(Kind.HOST, "16.4.4.4")) is None
    assert asked.known_as("16.2.2.2") == [HOST]
    case = asked.verdicts().listings[0].case
    assert len(asked.known_as(case.lower())) == 1


def test_the_quota_is_kept_and_what_is_gone_is_no_evidence(tmp_path: Path) -> None:
    """Whole segments go when they are too old; the loss is on record and told."""
    loaded = configured(tmp_path)
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    caught(tmp_path, spam("0", 3, "16.3.3.3"), spam("0", 4, "16.3.3.3"))
    caught(tmp_path, spam("0", 5, "16.4.4.4"))
    small = msgspec.structs.replace(loaded.journal, quota_gib=1e-9)
    with Wheel(msgspec.structs.replace(loaded, journal=small), tmp_path, lambda: 0) as wheel:
        notes = wheel.turn(at(10)).notes
        assert notes[0].startswith("quota: gave up ")
        wheel.turn(at(11))
    kinds = [type(entry.event) for entry in journal.read(tmp_path / "journal")]
    assert {BodiesThinned, SegmentDropped} & set(kinds) == {SegmentDropped, BodiesThinned}
    assert Inquiry(loaded, tmp_path, at(12)).suspect(HOST) is None


def test_two_wheels_take_turns(tmp_path: Path) -> None:
    """They come to the same, and neither needs the other to end."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    loaded = configured(tmp_path)
    with Wheel(loaded, tmp_path, lambda: 0) as one, Wheel(loaded, tmp_path, lambda: 0) as other:
        one.turn(at(10))
        before = published(tmp_path)
        assert other.turn(at(10)).verdicts is not None
        assert published(tmp_path) == before


def test_the_name_of_a_writer_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    """And when all are taken the operator is told."""
    loaded = config.check({})
    first = watch.open_writer(loaded, tmp_path, ("desk", "desk_2"))
    second = watch.open_writer(loaded, tmp_path, ("desk", "desk_2"))
    with pytest.raises(Exception, match="another process"):
        watch.open_writer(loaded, tmp_path, ("desk", "desk_2"))
    first.close()
    second.close()


def test_nothing_is_published_before_all_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A withdrawal may be in the rest.  Planted: publishing after each portion."""
    monkeypatch.setattr(watch, "PORTION", 2)
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(configured(tmp_path), tmp_path, lambda: 0) as wheel:
        first = wheel.turn(at(10))
        assert (first.behind, first.verdicts, published(tmp_path)) == (True, None, {})
        while (last := wheel.turn(at(10))).behind:
            pass
        assert len(last.deliveries) == 5
    assert b"16.2.2.2" in published(tmp_path)[".plain"]


def test_the_lake_and_the_state_may_be_deleted_under_the_wheel(tmp_path: Path) -> None:
    """Planted fault: a wheel that keeps its files open asks a lake that nobody sees."""
    caught(tmp_path, spam("0", 1, "16.2.2.2"), spam("0", 2, "16.2.2.2"))
    with Wheel(configured(tmp_path), tmp_path, lambda: 0) as wheel:
        wheel.turn(at(10))
        before = published(tmp_path)
        for folder in ("lake", "state"):
            shutil.rmtree(tmp_path / folder)
        with Lake(tmp_path / "lake") as other:  # a reading command came first
            other.catch_up(tmp_path / "journal")
        wheel.turn(at(20))
        with Lake(tmp_path / "lake") as other:
            assert other.query("SELECT count(*) FROM facts") == [(2,)]
        assert published(tmp_path) == before
