"""``suspects``, ``blocklist``, ``why``, ``withdraw``, ``watch``: right, readable, harmless."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.laws.journals import HAM, NOON, SECOND, Journal, bounce, spam

from trapline import cli

NOW = (time.time_ns() - NOON) / SECOND - 60  # a minute ago, in the journals' time
EVIL = "\x1b]0;owned\x07\r\n\u202e=cmd|x\x85"
CONFIG = """\
[court]
rehearsal_networks = ["192.0.2.0/24"]
publish = "{publish}"
list = ["host", "network", "helo", "sender", "subject"]
{genuine}
[[publish]]
kind = "postfix"
path = "{home}/trapline.cidr"
action = "WARN"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lend a data directory: three hosts of one network, a bounce, hostile names."""
    monkeypatch.setenv("TRAPLINE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ham.eml").write_bytes(HAM)
    configure(tmp_path)
    made = Journal(tmp_path)
    for n in range(9):
        peer = f"192.0.2.{7 + n % 3}"
        made.write(
            [spam("0", NOW + n, peer, subject=f"Pills {EVIL}", sender=f"{EVIL}@x.example")]
        )
    made.write([spam("0", NOW, "10.0.0.1"), spam("0", NOW + 1, "10.0.0.1")])
    made.write([bounce("0", NOW, "192.0.2.200")])
    made.close()
    return tmp_path


def configure(home: Path, genuine: str = "", publish: str = "dry-run") -> None:
    """Write the operator's file."""
    genuine = genuine or f'[genuine]\nmail = ["{home}/ham.eml"]'
    text = CONFIG.format(home=home, genuine=genuine, publish=publish)
    (home / "trapline.toml").write_text(text)


def printed(
    capsys: pytest.CaptureFixture[str], *words: str, status: int = 0
) -> tuple[str, str]:
    """Run a command and return what it prints; nothing of it may move a terminal."""
    assert cli.main(list(words)) == status
    said = capsys.readouterr()
    for text in said:
        assert all(c in {"\n", "\t"} or c.isprintable() for c in text)
    return said.out, said.err


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Run a command with --json and return its rows."""
    out, _ = printed(capsys, *words, "--json")
    assert out.isascii()
    return [json.loads(line) for line in out.splitlines()]


def test_suspects_come_with_reasons_and_their_trial(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Listed, refused or named only: each says which."""
    assert home.is_dir()
    found = {f"{row['kind']} {row['value']}": row for row in rows(capsys, "suspects")}
    host = found["host 192.0.2.7"]
    assert host["listed"]
    assert host["count"] == 3
    assert host["trial"]["tried"] == 1
    assert host["case"].startswith("T-")
    assert found["network 192.0.2.0/24"]["listed"]
    assert found["host 10.0.0.1"]["trial"]["protected"] == "reserved address space (private)"
    assert "host 192.0.2.200" not in found, "a bounce is nobody's guilt"
    text, _ = printed(capsys, "suspects", "--kind", "host")
    assert "host 192.0.2.7  score " in text
    assert "trial: would have lost none of 1 genuine items" in text
    assert "trial: never to be listed: reserved address space (private)" in text
    assert "network" not in text.split("trial")[0]


def test_the_list_is_printed_in_every_format(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the operator's settings for that format; or written to a file, whole."""
    out, err = printed(capsys, "blocklist")
    assert [line for line in out.splitlines() if " " not in line] == [
        "192.0.2.0/24", "192.0.2.7", "192.0.2.8", "192.0.2.9",
    ]  # fmt: skip
    assert err == ""
    out, _ = printed(capsys, "blocklist", "--format", "postfix")
    assert "192.0.2.7/32\tWARN Trapline case T-" in out
    for form in ("nftables", "rbldnsd", "json"):
        out, _ = printed(capsys, "blocklist", "--format", form)
        assert "192.0.2.0/24" in out
    printed(capsys, "blocklist", "--format", "postfix", "--output", str(home / "x"))
    assert "192.0.2.7/32\tWARN" in (home / "x").read_text()


def test_without_genuine_mail_the_list_is_empty_and_says_why(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty list is a list: the status is 0; so for suspects and why."""
    configure(home, genuine="[genuine]")
    out, err = printed(capsys, "blocklist")
    assert (out, "no genuine mail" in err) == ("", True)
    out, err = printed(capsys, "suspects")
    assert "no genuine mail to try it on: configure [genuine]" in out
    assert "nothing is listed" in err
    out, _ = printed(capsys, "why", "192.0.2.7")
    assert "configure [genuine]" in out
    out, _ = printed(capsys, "watch", "--once")
    assert "not acquitted" in out


def test_why_shows_the_whole_chain(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sessions, messages, score, trial, case, and where it was delivered."""
    configure(home, publish="live")
    printed(capsys, "watch", "--once")
    out, _ = printed(capsys, "why", "192.0.2.7")
    for part in (
        "1 sessions", "3 messages", "0-1-0", "host 192.0.2.7  score ", "network 192.0.2.0/24",
        "offered 3 messages to 36 recipients", "would have lost none of 1", "case T-",
        "listed as T-", f"{home}/trapline.cidr: delivered",
    ):  # fmt: skip
        assert part in out, part
    (document,) = rows(capsys, "why", "192.0.2.7")
    assert [len(document[k]) for k in ("messages", "indicators", "delivered")] == [3, 2, 1]
    case = document["indicators"][0]["case"]
    (again,) = rows(capsys, "why", case)
    assert [row["case"] for row in again["indicators"]] == [case]


def test_why_says_what_is_missing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too little evidence, or an allow-list; planted fault: nothing at all was said."""
    configure(home)
    file = home / "trapline.toml"
    wanted = "[court]\nthreshold = 1000.0\n"
    file.write_text(file.read_text().replace("[court]\n", wanted))
    out, _ = printed(capsys, "why", "192.0.2.7")
    assert "is below court.threshold = 1000" in out
    assert "the strongest: " in printed(capsys, "blocklist")[1]
    file.write_text(file.read_text() + '\n[allow]\nnetworks = ["192.0.2.0/24"]\n')
    out, _ = printed(capsys, "why", "192.0.2.7")
    assert "trial: never to be listed: allow-list (192.0.2.0/24)" in out


def test_why_of_nobody_is_a_no(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, in words and in JSON."""
    assert home.is_dir()
    assert printed(capsys, "why", "203.0.113.9", status=1)[0] == (
        "nothing is known of 203.0.113.9\n"
    )
    out, _ = printed(capsys, "why", EVIL, "--json", status=1)
    assert json.loads(out)["known"] is False


def test_a_withdrawal_is_recorded_shown_and_obeyed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its reason, however hostile; the network around it goes as well."""
    out, _ = printed(capsys, "withdraw", "192.0.2.7", "--reason", f"ours {EVIL}", "--for", "9d")
    assert out.startswith("host 192.0.2.7 is withdrawn until ")
    out, _ = printed(capsys, "blocklist")
    assert [line for line in out.splitlines() if " " not in line] == ["192.0.2.8", "192.0.2.9"]
    out, _ = printed(capsys, "why", "192.0.2.7")
    assert "withdrawn until " in out
    assert "ours \\x1b]0;owned" in out
    (row,) = rows(capsys, "withdraw", "sender", f"{EVIL}@x.example", "--reason", "x")
    assert row["until"] == 0
    assert home.is_dir()


@pytest.mark.parametrize(
    "words", [("nonsense",), ("host", "x"), ("planet", "mars"), ("sender", "")]
)
def test_what_is_no_indicator_is_wrong_use(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """Status 2, and nothing is recorded."""
    out, err = printed(capsys, "withdraw", *words, "--reason", "x", status=2)
    assert out == ""
    assert "is not an address, a network, or a kind and a value" in err
    assert not list((home / "journal").glob("desk*"))


def test_a_failed_delivery_is_status_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``watch --once`` in a script must tell."""
    configure(home, publish="live")
    (home / "trapline.cidr").mkdir()
    out, _ = printed(capsys, "watch", "--once", status=1)
    assert "NOT DELIVERED" in out
    (home / "trapline.cidr").rmdir()
    printed(capsys, "watch", "--once")
    assert "192.0.2.7/32\tWARN" in (home / "trapline.cidr").read_text()
    (row,) = rows(capsys, "watch", "--once")
    assert row["listings"] >= 4
