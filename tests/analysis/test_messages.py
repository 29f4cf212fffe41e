"""Messages: any octets give Facts, bounded, and what they say is what the message says."""

import ipaddress
import json
import time

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.analysis.mail import entry, offered, read
from tests.analysis.test_mime import SOUP

from trapline.analysis import messages
from trapline.message import Facts, Sort

NEWSLETTER = (
    b"Received: from mx.ours.example ([203.0.113.5]) by trap.example; now\r\n"
    b"Received: from bad.example (unknown [198.51.100.9]) by mx.ours.example; now\r\n"
    b"Received: from forged ([10.1.1.1]) by forged; now\r\n"
    b"From: =?utf-8?B?R3LDvMOfZQ==?= <a@spam.example>\r\n"
    b"Subject: =?iso-8859-1?Q?Billige_Gr=FC=DFe?=\r\nMessage-ID: <1@x>\r\nDate: today\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhttp://Evil.Example/a\r\n--b\r\n"
    b"Content-Type: text/html\r\n\r\n<a href='http://evil.example/a'>x</a>"
    b"<img src=http://evil2.example/b>\r\n--b\r\nContent-Type: application/pdf\r\n"
    b"Content-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF\r\n--b--\r\n"
)


def test_what_a_message_says() -> None:
    """All of it at once: headers decoded, chain, links, attachments."""
    event = offered(NEWSLETTER)
    ours = (ipaddress.ip_network("203.0.113.0/24"),)
    found = messages.facts("e-1", event, NEWSLETTER, "203.0.113.5", trusted=ours)
    assert (found.subject, found.from_) == ("Billige Grüße", "Grüße <a@spam.example>")
    assert (found.message_id, found.date) == ("<1@x>", "today")
    assert found.received == ("203.0.113.5", "198.51.100.9", "10.1.1.1")
    assert found.origin == "198.51.100.9"
    assert found.urls == ("http://evil.example/a", "http://evil2.example/b")
    assert [a.name for a in found.attachments] == ["a.pdf"]
    assert (found.sort, found.defects) == (Sort.UCE, ())


@given(SOUP, st.text(st.characters(max_codepoint=255), max_size=10))
@example(b"Subject: =?utf-7?Q?+2AA-?=\n\n", "")
def test_any_octets_give_facts(octets: bytes, address: str) -> None:
    """They encode as JSON (no lone surrogates), are bounded, and are the same again.

    Planted fault: a subject in UTF-7 that spells half a character broke the encoder.
    """
    event = offered(octets, sender=address, recipients=(address,))
    one = messages.facts("e", event, octets, address, local=address, names=(address,))
    line = msgspec.json.encode(one)
    assert msgspec.json.decode(line, type=Facts) == one
    assert json.loads(line)["from"] == one.from_
    assert len(line) < 64 * 2**10
    assert one == messages.facts("e", event, octets, address, local=address, names=(address,))


NESTED = b"".join(
    b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(20_000)
)
PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nhttp://a.example/ x\n" * 100_000
)
HTML = b"Content-Type: text/html\n\n"


@pytest.mark.parametrize(
    ("octets", "defect"),
    [
        (NESTED, "too-deep"),
        (PARTS, "too-many-parts"),
        (b"X: y\n" * 100_000 + b"\nx", "headers-cut"),
        (b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nx", "field-cut"),
        (b"To: " + b"a@b.example, " * 100_000 + b"\n\nx", "field-cut"),
        (b"Content-Transfer-Encoding: base64\n\n" + b"QUFB" * 2_000_000, "no-from"),
        (b"Content-Type: application/zip\n\n" + b"PK\x03\x04" * 1_000_000, "no-from"),
        (b"Content-Type: text/plain; charset=no-such\n\n\xff", "charset"),
        (HTML + b"<div>" * 1_000_000, "no-from"),
        (HTML + b'<a href="' * 500_000, "no-from"),
        (b"\n" + b"http://a.example/ " * 300_000, "no-from"),
        (b"\n" + b"\n" * 4_000_000, "no-from"),
        (b"\n" + b"a@" * 2_000_000, "no-from"),
    ],
)
def test_bombs_cost_little_and_are_named(octets: bytes, defect: str) -> None:
    """Time and facts stay bounded.

    Planted fault: a greeting looked for across line ends read 4 MB of line ends for hours.
    """
    began = time.process_time()
    one = messages.facts("e", offered(octets), octets, "198.51.100.7")
    assert time.process_time() - began < 6.0
    assert defect in one.defects
    assert len(msgspec.json.encode(one)) < 256 * 2**10


def test_what_was_not_kept_is_said() -> None:
    """A message longer than the trap's limit is judged by its head, and says so."""
    event = msgspec.structs.replace(offered(), size=10**8)
    assert "not-kept-whole" in messages.facts("e", event, b"", "198.51.100.7").defects


def test_facts_name_their_entry() -> None:
    """They are joined with it in the lake."""
    assert read(entry(offered(), name="w-1-2")).entry == "w-1-2"
