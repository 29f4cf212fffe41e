"""What strangers send never acts: not on a terminal, not in a page, a cell, a line, a list."""

import csv
import io
import json
import smtplib
from collections.abc import Callable

import pytest
from tests.system.conftest import Running

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
BIDI = "\u202egnp.exe\u200b"
FORMULA = '=HYPERLINK("http://evil.example","x")'
HTML = "<script>alert(1)</script>"
SUBJECTS = (
    ESCAPE,
    BIDI,
    FORMULA,
    HTML,
    "two\r\n lines\x0b\x0c\x85\u2028more",
    "`id` $(id) ; rm -rf / |",
    "%s %n {0} {peer}",
    "\x00nul",
)
FORMATS = ("plain", "postfix", "nftables", "rbldnsd", "json")
READING = (
    ("status",),
    ("sessions",),
    ("messages",),
    ("probes",),
    ("suspects", "--all"),
    ("top", "--by", "subject"),
    ("top", "--by", "helo"),
    ("top", "--by", "sender"),
    ("why", "127.0.0.1"),
    ("journal", "cat"),
    *(
        ("blocklist", "--format", f)
        for f in ("plain", "postfix", "nftables", "rbldnsd", "json")
    ),
)


def spam(running: Running) -> None:
    """Send messages whose every field is hostile."""
    for number, subject in enumerate(SUBJECTS):
        with smtplib.SMTP("127.0.0.1", running.ports["smtp"], timeout=20) as client:
            client.command_encoding = "utf-8"
            client.putcmd("EHLO", subject.replace("\r\n", " "))
            client.getreply()
            client.ehlo("plain.example.org")
            head = (
                f"Subject: {subject}\r\nFrom: {subject} <a@b.example>\r\nX-{number}: {HTML}\r\n"
            )
            body = f'<a href="http://evil.example/{HTML}{ESCAPE}">{FORMULA}</a>\r\n'
            raw = head.encode() + b"Content-Type: text/html\r\n\r\n" + body.encode()
            client.sendmail(f'"=cmd|x{number}"@evil.example', ["victim@example.com"], raw)


def safe(octets: bytes) -> None:
    """Assert that octets cannot act on a terminal."""
    text = octets.decode("utf-8")
    bad = {c for c in text if not c.isprintable() and c != "\n"}
    assert not bad, (bad, text[:500])


@pytest.mark.system
def test_nothing_hostile_acts(up: Callable[..., Running]) -> None:
    """Planted fault: printing a subject without ``safe.text`` lets the escapes out."""
    running = up()
    spam(running)
    ids = [row["id"] for row in running.rows("messages")]
    assert len(ids) == len(SUBJECTS)
    sessions = [row["session"] for row in running.rows("sessions")]
    for words in (*READING, *(("show", one) for one in (*ids, *sessions))):
        safe(running.run(*words, status=None))
    for words in (*READING[:9], ("show", ids[0])):
        printed = running.run(*words, "--json", status=None)
        safe(printed)
        for document in printed.splitlines():
            json.loads(document)
    cells = csv.reader(io.StringIO(running.run("top", "--by", "subject", "--csv").decode()))
    assert not [cell for row in cells for cell in row if cell[:1] in ("=", "+", "-", "@", "\t")]
    running.stop()
    assert running.printed
    for line in running.printed:
        safe(line.encode())
