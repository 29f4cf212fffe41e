"""``trapline journal``: what a script reads, and what an operator notes down."""

import argparse
import json
from pathlib import Path

import pytest
from tests.test_journal import mail, stamp, writer

from trapline.commands import journal as command
from trapline.errors import NoEntry
from trapline.events import EnvelopeDropped, SessionOpened
from trapline.journal.segments import segment_path

EVIL = "\x1b]0;owned\x07\r\n\0\x9bü"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lend a data directory with a small journal in it."""
    monkeypatch.setenv("TRAPLINE_HOME", str(tmp_path))
    hand = writer(tmp_path / "journal")
    hand.append(stamp(1), SessionOpened())
    hand.append(stamp(2), mail(b"body"), b"body")
    hand.append(stamp(3), EnvelopeDropped(sender=EVIL, recipients=(EVIL,)))
    hand.commit()
    hand.close()
    return tmp_path


def run(*words: str) -> int:
    """Run the command as the command line does."""
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args(words))


def test_cat_prints_json_lines_that_no_terminal_obeys(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printable ASCII only, and the text comes back exact."""
    assert home.is_dir()
    assert run("cat") == 0
    out = capsys.readouterr().out
    assert all(" " <= letter <= "~" for letter in out.replace("\n", ""))
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["id"] for row in rows] == ["0-1-0", "0-1-1", "0-1-2"]
    assert rows[2]["event"]["sender"] == EVIL
    assert rows[1]["stamp"]["at"] == 2
    assert rows[1]["event"]["kind"] == "mail.offered"


def test_cat_chooses_by_kind_and_place(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says 1 where there is nothing."""
    assert home.is_dir()
    assert run("cat", "--since", "0-1-0", "--kind", "mail.offered") == 0
    assert json.loads(capsys.readouterr().out)["id"] == "0-1-1"
    assert run("cat", "--since", "0-1-2") == 1
    with pytest.raises(NoEntry):
        run("cat", "--since", "0-7-7")


def test_verify_prints_heads_that_can_be_noted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later verify finds them, and misses them where the journal was changed."""
    assert run("verify", "--json") == 0
    head = json.loads(capsys.readouterr().out)["heads"]["0"]
    hand = writer(home / "journal")
    hand.append(stamp(9), SessionOpened())
    hand.commit()
    hand.close()
    assert run("verify", "--head", f"0={head}") == 0
    assert "noted head of 0: found" in capsys.readouterr().out
    assert run("verify", "--head", f"0={'0' * 64}") == 1
    assert "NOT FOUND" in capsys.readouterr().out
    path = segment_path(home / "journal", "0", 1)
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"192.0.2.7")] ^= 1
    path.write_bytes(octets)
    assert run("verify") == 1
    assert "NOT GOOD" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["0", "=", "0=12", "0=" + "x" * 63])
def test_a_head_that_is_none_is_wrong_use(word: str) -> None:
    """Exit status 2, as argparse does."""
    with pytest.raises(SystemExit, match="2"):
        run("verify", "--head", word)
