"""The lake: each entry exactly once, whoever dies or runs at the same time."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from tests.test_journal import mail, stamp, writer

from trapline import journal
from trapline import lake as lakes
from trapline.errors import TraplineError
from trapline.events import AuthTried, Entry, EnvelopeDropped, SessionClosed, SessionOpened
from trapline.journal import Position
from trapline.lake import Lake
from trapline.message import Attachment, Facts, Sort

DAY = 86_400 * 10**9
ODD = bytes(range(256)).decode("latin-1") + "'; DROP TABLE files; --"


def fill(directory: Path, count: int, name: str = "0", start: int = 0) -> None:
    """Write entries, a quarter of them mail, over three days."""
    hand = writer(directory, name, segment_octets=20_000)
    for n in range(start, start + count):
        at = 20_000 * DAY + n * (3 * DAY // (start + count))
        body = b"%d" % n
        hand.append(stamp(at), mail(body) if n % 4 == 0 else SessionOpened(via=str(n)), b"")
        if n % 10 == 9:
            hand.commit()
    hand.commit()
    hand.close()


def ids(entries: list[Entry]) -> list[str]:
    """Return the ids, sorted."""
    return sorted(entry.id for entry in entries)


def rows(lake: Lake) -> list[str]:
    """Return the ids in the lake, sorted."""
    return [name for (name,) in lake.query("SELECT id FROM entries ORDER BY id")]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Lend a journal's and a lake's directory."""
    return tmp_path / "journal", tmp_path / "lake"


def test_an_empty_lake_answers(pair: tuple[Path, Path]) -> None:
    """No journal, no files: no rows, and the columns are there."""
    with Lake(pair[1]) as lake:
        assert lake.catch_up(pair[0]) == 0
        assert lake.query('SELECT "at", sender, recipients FROM entries') == []
        assert lake.query("SELECT subject, urls FROM facts") == []
        assert lake.positions() == lake.committed() == {}


def test_entries_come_with_their_columns_exact(pair: tuple[Path, Path]) -> None:
    """Also NUL, quotes and eight-bit text from strangers."""
    hand = writer(pair[0])
    events = (
        mail(b""),
        EnvelopeDropped(sender=ODD, recipients=(ODD, ""), helo="h", reason="quit"),
        AuthTried(mechanism="PLAIN", user=ODD, password="p", accepted=True),  # noqa: S106
        SessionClosed(
            seconds=1.5, received=7, sent=8, reason="gone", dialogue=((0, "C", ODD),)
        ),
    )
    for n, event in enumerate(events):
        hand.append(stamp(n), event)
    hand.commit()
    with Lake(pair[1]) as lake:
        assert lake.catch_up(pair[0]) == 4
        assert lake.query(
            'SELECT id, "at", kind, sensor, session, peer, port, local, size, answer '
            "FROM entries WHERE kind = 'mail.offered'"
        ) == [("0-1-0", 0, "mail.offered", "relay", "s", "192.0.2.7", 4, "x:25", 0, "")]
        assert lake.query(
            "SELECT sender, recipients, helo, size FROM entries WHERE sender = ?", [ODD]
        ) == [(ODD, [ODD, ""], "h", None)]
        assert lake.query("SELECT user, password, accepted FROM entries WHERE accepted") == [
            (ODD, "p", True)
        ]
        (found,) = lake.query(
            "SELECT seconds, received, sent, reason, event ->> '$.dialogue[0][2]' "
            "FROM entries WHERE kind = 'session.closed'"
        )
        assert found == (1.5, 7, 8, "gone", ODD)
    hand.close()


def test_each_entry_is_there_once_however_often_one_catches_up(
    pair: tuple[Path, Path],
) -> None:
    """In pieces, while the journal grows and rotates; days have their own files."""
    fill(pair[0], 300)
    with Lake(pair[1]) as lake:
        assert lake.catch_up(pair[0], limit=70) == 70
        assert lake.catch_up(pair[0], limit=1) == 1
        fill(pair[0], 100, "1")
        assert lake.catch_up(pair[0]) == 329
        assert lake.catch_up(pair[0]) == 0
        assert rows(lake) == ids(list(journal.read(pair[0])))
        assert lake.positions() == journal.ends(pair[0]) | {
            name: lake.positions()[name] for name in lake.positions()
        }
        days = sorted(path.name for path in (pair[1] / "entries").iterdir())
        assert days == ["day=2024-10-04", "day=2024-10-05", "day=2024-10-06"]


def test_compaction_changes_no_answer(pair: tuple[Path, Path]) -> None:
    """One file a day is left; a reader that still has the old list goes on.

    Planted fault: a merge that forgot to mark the old files doubled every row.
    """
    clock = [0]
    with Lake(pair[1], now=lambda: clock[0]) as lake, Lake(pair[1]) as other:
        for n in range(5):
            fill(pair[0], 40, start=n * 40)
            lake.catch_up(pair[0])
        before = lake.query('SELECT * FROM entries ORDER BY "at", id')
        old = set(pair[1].rglob("*.parquet"))
        merged = lake.compact()
        assert merged >= len(old) - 1 > 3  # one day may have had one file only
        assert lake.query('SELECT * FROM entries ORDER BY "at", id') == before
        assert old < set(pair[1].rglob("*.parquet"))
        clock[0] = time.time_ns() + 10**13
        assert lake.compact() == 0
        assert len(set(pair[1].rglob("*.parquet"))) == 3
        assert other.query('SELECT * FROM entries ORDER BY "at", id') == before


def test_a_query_whose_file_vanished_looks_again(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list and the reading, a compaction and the end of its grace."""
    fill(pair[0], 40)
    clock = [0]
    with Lake(pair[1], now=lambda: clock[0]) as lake, Lake(pair[1]) as reader:
        lake.catch_up(pair[0], limit=20)
        lake.catch_up(pair[0])
        real, calls = lakes.tables.view, list[str]()

        def view(table: str, paths: list[str]) -> str:
            calls.append(table)
            made = real(table, paths)
            if len(calls) == 1:
                lake.compact()
                clock[0] = time.time_ns() + 10**13
                lake.compact()
            return made

        monkeypatch.setattr(lakes.tables, "view", view)
        assert reader.query("SELECT count(*) FROM entries") == [(40,)]
        assert len(calls) > 2


def test_strays_of_the_killed_are_swept(pair: tuple[Path, Path]) -> None:
    """But not those of somebody at work."""
    fill(pair[0], 8)
    with Lake(pair[1]) as lake:
        lake.catch_up(pair[0])
        old, new = (pair[1] / "entries" / name for name in ("old.parquet", "new.parquet"))
        old.touch()
        new.touch()
        os.utime(old, (1, 1))
        lake.compact()
        assert (old.exists(), new.exists()) == (False, True)
        assert len(rows(lake)) == 8


def facts(n: int) -> Facts:
    """Return facts with something in every kind of column."""
    part = Attachment(name=ODD, type="a/b", size=n, sha256="0")
    return Facts(entry=f"0-1-{n}", from_=ODD, sort=Sort.VIRUS, urls=("x",), attachments=(part,))


def test_derived_rows_move_with_their_position(pair: tuple[Path, Path]) -> None:
    """A second writer with the same expectation is refused, and leaves nothing."""
    first, second = {"0": Position(1, 5)}, {"0": Position(1, 9), "1": Position(2, 0)}
    with Lake(pair[1]) as lake, Lake(pair[1]) as other:
        assert lake.append("facts", [facts(0), facts(1)], first, {})
        assert not other.append("facts", [facts(0), facts(1)], first, {})
        assert other.append("facts", [], second, first)
        assert lake.positions("facts") == second
        found = lake.query(
            'SELECT entry, "from", sort, urls, attachments FROM facts ORDER BY 1'
        )
        part = msgspec.to_builtins(facts(1).attachments[0])
        assert found[1] == ("0-1-1", ODD, "virus", ["x"], [part])
        assert len(found) == 2
        assert len(list((pair[1] / "facts").iterdir())) == 1
        lake.append("facts", [facts(2)], {"0": Position(1, 10)}, second)
        lake.compact()
        assert lake.query("SELECT count(*) FROM facts") == [(3,)]


def test_only_what_all_tables_have_taken_is_committed(pair: tuple[Path, Path]) -> None:
    """The journal may be thinned below that; planted fault: the entries' position alone."""
    fill(pair[0], 20)
    with Lake(pair[1]) as lake:
        lake.catch_up(pair[0])
        assert lake.committed()["0"].segment == 0
        lake.append("facts", [], {"0": Position(1, 2)}, {})
        assert lake.committed() == {"0": Position(1, 2)}


def test_a_lake_of_another_format_is_refused(pair: tuple[Path, Path]) -> None:
    """And the operator is told what to do."""
    with Lake(pair[1]) as lake:
        lake._catalog._database.execute("UPDATE lake SET format = '99'")
    with pytest.raises(TraplineError, match="delete it"):
        Lake(pair[1])


CATCH_UP = """
import sys, pathlib
from trapline import lake
lake.BATCH = 37
with lake.Lake(pathlib.Path(sys.argv[2])) as x:
    print("ready", flush=True)
    print(x.catch_up(pathlib.Path(sys.argv[1])), flush=True)
    x.compact()
"""


def start(pair: tuple[Path, Path]) -> "subprocess.Popen[str]":
    """Start a process that catches up in many small steps, and wait for it to begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", CATCH_UP, *map(str, pair)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_at_any_moment_nothing_is_lost_or_doubled(pair: tuple[Path, Path]) -> None:
    """Seven times kill -9, then once to the end."""
    dice = random.Random(7)  # noqa: S311 - moments, not secrets
    fill(pair[0], 2000)
    for _ in range(7):
        with start(pair) as process:
            time.sleep(dice.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
    with Lake(pair[1]) as lake:
        partly = len(rows(lake))
        taken = lake.catch_up(pair[0])
        assert 0 < partly < partly + taken == 2000
        assert rows(lake) == ids(list(journal.read(pair[0])))


def test_two_at_the_same_time_take_each_entry_once(pair: tuple[Path, Path]) -> None:
    """Both get somewhere or not; together they have taken all."""
    fill(pair[0], 1500)
    fill(pair[0], 300, "1")
    with start(pair) as one, start(pair) as two:
        outs = [process.communicate(timeout=120)[0] for process in (one, two)]
    assert sum(map(int, outs)) == 1800
    with Lake(pair[1]) as lake:
        assert rows(lake) == ids(list(journal.read(pair[0])))
