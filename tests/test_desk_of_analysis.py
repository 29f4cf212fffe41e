"""``trapline top`` and ``trapline probes``: read by people and scripts, obeyed by nothing."""

import argparse
import csv
import io
import json
from pathlib import Path
from types import ModuleType

import pytest
from tests.analysis.mail import START, offered

from trapline import journal
from trapline.commands import probes, top
from trapline.events import EnvelopeDropped, Stamp

EVIL = '=HYPERLINK("http://x")\x1b]0;owned\x07\r\n\u00e9@evil.example'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lend a data directory with spam of a hostile sender and a relay test."""
    monkeypatch.setenv("TRAPLINE_HOME", str(tmp_path))
    hand = journal.Writer(tmp_path / "journal", "0", reserve_octets=0)
    test = b"Subject: relay test \x1b[2J 192.0.2.25\r\n\r\n\r\n"
    local = "192.0.2.25:25"
    for at, event, octets in (
        (1, offered(b"Subject: x\n\nhttp://e.example", sender=EVIL), b"Subject: x\n\nhttp://e"),
        (2, offered(test, sender="a@b.example", recipients=[EVIL]), test),
        (3, EnvelopeDropped(sender="", recipients=("someone@ours.example",)), b""),
    ):
        stamp = Stamp(at=START + at, sensor="relay", peer="198.51.100.7", local=local)
        hand.append(stamp, event, octets)
    hand.commit()
    hand.close()
    return tmp_path


def run(command: ModuleType, *words: str) -> int:
    """Run a command as the command line does."""
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return int(command.run(parser.parse_args(words)))


def test_probes_are_shown_with_what_speaks_for_them(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test is listed, the spam and the callback are not."""
    assert home.is_dir()
    assert run(probes, "--json") == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["entry"], row["peer"], row["recipients"]) == ("0-1-1", "198.51.100.7", [EVIL])
    assert row["score"] >= 1.0
    assert "our address in it" in row["reasons"]


@pytest.mark.parametrize("command", [top, probes])
@pytest.mark.parametrize("words", [(), ("--json",), ("--by", "sender"), ("--by", "recipient")])
def test_no_terminal_obeys(
    home: Path, capsys: pytest.CaptureFixture[str], command: ModuleType, words: tuple[str, ...]
) -> None:
    """Escapes, line ends and bells are shown, in lists and in JSON.

    Planted fault: printing a recipient as it was let its escape sequence through.
    """
    assert home.is_dir()
    if command is probes and "--by" in words:
        pytest.skip("takes no --by")
    assert run(command, *words) == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.split("\n"))


def test_no_spreadsheet_obeys(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each cell that begins like a formula is told to be text."""
    assert home.is_dir()
    assert run(top, "--by", "sender", "--csv") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 3
    assert all(len(row) == len(rows[0]) for row in rows)
    assert {row[0][0] for row in rows[1:]} == {"'", "a"}


def test_nothing_found_is_a_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, as for every reading command."""
    monkeypatch.setenv("TRAPLINE_HOME", str(tmp_path))
    (tmp_path / "journal").mkdir()
    assert (run(top), run(probes, "--json"), run(top, "--json")) == (1, 1, 1)
    assert "{" not in capsys.readouterr().out


def test_time_and_limit_choose(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Long ago is long ago; one row is one row."""
    assert home.is_dir()
    assert run(top, "--by", "sender", "--json", "--limit", "1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert run(probes, "--json", "--peer", "203.0.113.1") == 1
