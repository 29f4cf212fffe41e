"""Genuine: mail archives and delivery logs become items; nothing configured is passed over."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from trapline import config, genuine
from trapline.analysis.trial import Genuine, hold
from trapline.errors import ConfigError
from trapline.listings import Indicator, Kind, Suspect

MAIL = b"""\
Return-Path: <bounces@lists.example>
Delivered-To: bob@ours.example
Received: from mx.ours.example (localhost [127.0.0.1]) by imap.ours.example; x
Received: from mx2.ours.example ([16.0.0.25]) by mx.ours.example; x
Received: from out.shop.example (helo-said.example [16.7.7.7]) by mx2.ours.example; x
Received: from forged ([16.9.9.9]) by out.shop.example; x
From: Alice <alice@shop.example>
To: bob@ours.example
Subject: =?utf-8?q?Your_order?=

See https://www.shop.example/x?y
"""
LOGS = Path(__file__).parent / "analysis" / "logs"
HAM = Path(os.environ.get("TRAPLINE_TEST_HAM", "/nonexistent"))  # 4,150 genuine messages


def library(state: Path, **table: Any) -> genuine.Library:  # noqa: ANN401
    """Read genuine mail as some configuration says."""
    table.setdefault("trusted", ["16.0.0.0/24"])
    return genuine.library(config.check({"genuine": table}), state)


def hits(found: Genuine, kind: Kind, value: str) -> int:
    """Count the genuine items that an indicator would have hit."""
    suspect = Suspect(
        indicator=Indicator(kind, value), score=1, count=1, first=0, last=0, hosts=1,
        reasons=(), evidence=(),
    )  # fmt: skip
    return hold(suspect, found).hits


def test_the_client_is_the_first_hop_that_is_not_ours(tmp_path: Path) -> None:
    """Planted: taking the first public hop blamed our own second relay."""
    (tmp_path / "one.eml").write_bytes(MAIL)
    found = library(tmp_path / "state", mail=[str(tmp_path / "one.eml")]).genuine
    (item,) = found.items
    assert item.peers == ("16.7.7.7",)
    assert "out.shop.example" in item.helos
    assert hits(found, Kind.HOST, "16.7.7.7") == 1
    assert hits(found, Kind.HOST, "16.0.0.25") == 0
    assert hits(found, Kind.HOST, "16.9.9.9") == 0, "what a stranger wrote proves nothing"
    assert hits(found, Kind.SENDER, "alice@shop.example") == 1
    assert hits(found, Kind.DOMAIN, "lists.example") == 1
    assert hits(found, Kind.SUBJECT, "your order") == 1
    assert hits(found, Kind.RECIPIENT, "bob@ours.example") == 1
    assert hits(found, Kind.URL, "shop.example") == 1


def test_our_own_relays_are_protected(tmp_path: Path) -> None:
    """Trusted networks never reach a list, whatever was said about them."""
    (tmp_path / "one.eml").write_bytes(MAIL)
    found = library(tmp_path / "state", mail=[str(tmp_path)]).genuine
    assert found.allow.why(Indicator(Kind.HOST, "16.0.0.25")) == "allow-list (16.0.0.0/24)"


FROM = b"From alice@shop.example Thu Aug 22 12:36:23 2002\n"


def test_an_mbox_is_cut_at_its_from_lines_only(tmp_path: Path) -> None:
    """Planted: cutting at every ``From `` counted a sentence of a letter as a message."""
    body = MAIL.replace(b"See", b"Quote:\n\nFrom now on, as of 12:30 on 2002\n\nSee")
    (tmp_path / "inbox").write_bytes(FROM + body + b"\n" + FROM + body)
    found = library(tmp_path / "state", mail=[str(tmp_path / "inbox")]).genuine
    assert [item.name[-7:] for item in found.items] == ["inbox#1", "inbox#2"]


def test_a_maildir_is_read_without_its_bookkeeping_and_junk(tmp_path: Path) -> None:
    """Subfolders count, save those where unwanted mail lies."""
    box = tmp_path / "Maildir"
    for name in ("cur/1:2,S", "new/2", "tmp/3", ".Lists/cur/4:2,", ".Junk/cur/5:2,"):
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_bytes(MAIL)
    for name in ("new", ".Lists/new", ".Junk/new"):
        (box / name).mkdir(exist_ok=True)
    (box / "dovecot-uidlist").write_text("3 V1 N2\n")
    read = library(tmp_path / "state", mail=[str(box)])
    names = [str(Path(item.name).relative_to(box)) for item in read.genuine.items]
    assert names == [".Lists/cur/4:2,", "cur/1:2,S", "new/2"]
    assert read.notes == ()


def test_what_is_no_mail_is_said(tmp_path: Path) -> None:
    """A clean zero is never printed over what was not understood."""
    (tmp_path / "a.eml").write_bytes(MAIL)
    (tmp_path / "b\x1b.eml").write_bytes(b"\x00\x01 junk")
    read = library(tmp_path / "state", mail=[str(tmp_path)])
    assert len(read.genuine.items) == 1
    assert read.notes[0].endswith("b\\x1b.eml: 1 without any header of mail, left out")


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Planted: skipping it acquitted on the rest of the mail."""
    with pytest.raises(ConfigError, match=r"genuine.mail\[1\]"):
        library(tmp_path / "state", mail=[str(tmp_path), str(tmp_path / "no")])
    with pytest.raises(ConfigError, match=r"genuine.logs\[0\]"):
        library(tmp_path / "state", logs=[str(tmp_path / "mail.log*")])


def test_a_postfix_log_tells_deliveries_and_correspondents(tmp_path: Path) -> None:
    """Planted: an unanchored pattern believed the line inside a HELO."""
    log = tmp_path / "mail.log"
    log.write_bytes((LOGS / "postfix.log").read_bytes())
    read = library(tmp_path / "state", logs=[str(log)])
    found = read.genuine
    assert [item.peers for item in found.items] == [("16.7.7.7",), ("16.5.5.5",)]
    assert hits(found, Kind.HOST, "16.7.7.7") == hits(found, Kind.HOST, "16.5.5.5") == 1
    assert hits(found, Kind.HOST, "16.8.8.8") == 0, "what was bounced was not let in"
    why = found.allow.why
    assert why(Indicator(Kind.DOMAIN, "friend.example")) == "known correspondent"
    assert why(Indicator(Kind.SENDER, "alice@shop.example")) == ""
    assert read.notes == (f"{log}: 1 of 16 lines not understood, such as 'what is this'",)


def test_an_exim_log_tells_the_same_packed_or_not(tmp_path: Path) -> None:
    """With subjects and HELO names, where Exim was told to log them."""
    with gzip.open(tmp_path / "mainlog.1.gz", "wb") as packed:
        packed.write((LOGS / "exim.log").read_bytes())
    read = library(tmp_path / "state", logs=[str(tmp_path / "mainlog*")])
    first, second = read.genuine.items
    assert (first.peers, first.helos) == (("16.7.7.7",), ("hello",))
    assert first.recipients == ("bob@ours.example",)
    assert hits(read.genuine, Kind.SUBJECT, 'your \\"order\\"') == 1
    assert second.peers == ()
    known = Indicator(Kind.SENDER, "carol@friend.example")
    assert read.genuine.allow.why(known) == "known correspondent"
    assert read.notes == ()


def test_only_what_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: remembering by name alone kept the old item of a changed file."""
    (tmp_path / "mail").mkdir()
    for name in ("a", "b"):
        (tmp_path / "mail" / name).write_bytes(MAIL)
    read: list[str] = []
    inner = genuine._mail

    def counted(path: str, *more: Any) -> Any:  # noqa: ANN401
        read.append(path[-1])
        return inner(path, *more)

    monkeypatch.setattr(genuine, "_mail", counted)
    where = {"mail": [str(tmp_path / "mail")]}
    first = library(tmp_path / "state", **where)
    assert library(tmp_path / "state", **where).look == first.look
    (tmp_path / "mail" / "b").write_bytes(MAIL.replace(b"16.7.7.7", b"16.7.7.8"))
    os.utime(tmp_path / "mail" / "b", ns=(1, 1))
    again = library(tmp_path / "state", **where)
    assert read == ["a", "b", "b"]
    assert again.look != first.look
    assert hits(again.genuine, Kind.HOST, "16.7.7.8") == 1
    library(tmp_path / "state", **where, trusted=[])
    assert read == ["a", "b", "b", "a", "b"], "other relays are trusted now"


def test_no_genuine_mail_is_an_empty_library(tmp_path: Path) -> None:
    """Which acquits nobody."""
    read = library(tmp_path / "state")
    assert read.genuine.items == ()
    assert hits(read.genuine, Kind.HOST, "16.7.7.7") == 0


@pytest.mark.skipif(not HAM.is_dir(), reason="TRAPLINE_TEST_HAM names no folder")
def test_thousands_of_real_messages_are_read(tmp_path: Path) -> None:
    """All of them are mail, and most tell who handed them in."""
    found = library(tmp_path / "state", mail=[str(HAM)]).genuine
    assert len(found.items) == 4150
    assert found.tried(Kind.HOST) > 3000
    assert found.tried(Kind.SENDER) == 4150
