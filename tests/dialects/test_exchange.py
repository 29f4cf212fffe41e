"""Exchange, as its public transcripts show it."""

import re

import pytest

from trapline import rooms
from trapline.events import MailOffered
from trapline.persona import Identity
from trapline.rehearsal import Rehearsal, rehearse
from trapline.traps.smtp import Settings, trap

EXCHANGE = rooms.persona("exchange-2019")
HOME = Identity("mx1.example.net", b"a seed of this install")
OPENED = b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n"


def heard_from(*packets: bytes, settings: Settings | None = None) -> Rehearsal:
    """Play packets to the persona."""
    return rehearse(trap, list(packets), EXCHANGE, HOME, settings or Settings())


def test_the_greeting_is_dated_as_microsoft_does() -> None:
    """No zero before the day, an offset behind the time."""
    assert heard_from().written == (
        b"220 mx1.example.net Microsoft ESMTP MAIL Service ready at"
        b" Sun, 23 Nov 2025 12:00:00 +0000\r\n"
    )


def test_nothing_is_advertised_that_would_not_work() -> None:
    """Dead extensions give a trap away."""
    said = heard_from(b"EHLO x\r\n").written.decode()
    extensions = re.findall(r"^250[- ](\S+)", said, re.MULTILINE)[1:]
    assert extensions == [
        *("SIZE", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS"),
        *("8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8", "XRDST"),
    ]


@pytest.mark.parametrize(
    ("packets", "last"),
    [
        ([b"MAIL FROM:<a@b.org>\r\n"], "503 5.5.2 Send hello first"),
        ([b"FOO\r\n"], "500 5.3.3 Unrecognized command"),
        ([b"EHLO a!b\r\n"], "501 5.5.4 Invalid domain name"),
        ([b"EHLO x\r\nRCPT TO:<a@b.org>\r\n"], "503 5.5.2 Need mail command"),
        ([b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nDATA\r\n"], "503 5.5.2 Need rcpt command"),
        ([b"EHLO x\r\nMAIL FROM:<a@b.org>\r\n"], "250 2.1.0 Sender OK"),
        ([b"EHLO x\r\nMAIL FROM:<>\r\n"], "250 2.1.0 Sender OK"),
        ([b"EHLO x\r\nMAIL FROM:<a>\r\n"], "501 5.1.7 Invalid address"),
        ([OPENED], "250 2.1.5 Recipient OK"),
        ([OPENED + b"RCPT TO:<a@@b>\r\n"], "501 5.1.3 Invalid address"),
        ([OPENED + b"MAIL FROM:<a@b.org>\r\n"], "503 5.5.2 Sender already specified"),
        ([OPENED + b"DATA\r\n"], "354 Start mail input; end with <CRLF>.<CRLF>"),
        ([b"VRFY root\r\n"], "252 2.1.5 Cannot VRFY user"),
        ([b"QUIT\r\n"], "221 2.0.0 Service closing transmission channel"),
    ],
)
def test_words(packets: list[bytes], last: str) -> None:
    """Replies as transcripts have them."""
    assert heard_from(*packets).written.decode().splitlines()[-1] == last


def test_every_refusal_takes_five_seconds_and_the_sixth_is_the_last() -> None:
    """The tarpit of a receive connector, and its limit of errors."""
    stage = heard_from(*[b"FOO\r\n"] * 9)
    assert stage.paused == 6 * 5
    assert stage.written.endswith(
        b"421 4.7.0 Too many errors on this connection, closing transmission channel\r\n"
    )


@pytest.mark.parametrize("commands", [b"DATA\r\n%s\r\n.\r\n", b"BDAT %d LAST\r\n%s\r\n"])
def test_the_receipt_names_the_message_s_own_id(commands: bytes) -> None:
    """And its size, and a speed that fits it."""
    message = b"Message-ID: <1@shop.example>\r\n\r\nbuy"
    count = len(message) + 2
    said = commands % ((count, message) if b"%d" in commands else message)
    stage = heard_from(OPENED, said)
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    reply = stage.written.decode().splitlines()[-1]
    assert re.fullmatch(
        r"250 2\.6\.0 <1@shop\.example> \[InternalId=\d+, Hostname=mx1\.example\.net\]"
        rf" {mail.size} bytes in \d+\.\d{{3}}, \d+\.\d{{3}} KB/sec Queued mail for delivery",
        reply,
    )


def test_a_message_without_an_id_is_given_one_of_this_host() -> None:
    """A GUID at the host's name; no two the same."""
    body = b"DATA\r\nx\r\n.\r\n"
    said = heard_from(OPENED, body, OPENED, body).written.decode()
    ids = re.findall(r"250 2\.6\.0 <([0-9a-f-]{36})@mx1\.example\.net> ", said)
    assert len(set(ids)) == 2


def test_relaying_can_be_denied() -> None:
    """In the words of Exchange 2016 and later."""
    stage = heard_from(OPENED, settings=Settings(recipients="relay after AUTH"))
    assert stage.written.endswith(
        b"550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain\r\n"
    )
