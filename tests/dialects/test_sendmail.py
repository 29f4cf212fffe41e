"""Sendmail's parts, each by itself; tests/fidelity holds whole dialogues to the real one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import rooms
from trapline.dialects import _sendmail_address as addresses
from trapline.dialects import _sendmail_parameters as parameters
from trapline.dialects._sendmail_base import seven, shown
from trapline.dialects._sendmail_queue import DIGITS, date
from trapline.persona import Identity
from trapline.rehearsal import NOON, Rehearsal, rehearse
from trapline.traps.smtp import Settings, trap

NEW = rooms.persona("sendmail-8.17")
HOME = Identity("mx1.example.net", b"a seed of this install")
OPENED = (b"EHLO x\r\n", b"MAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n")


def heard_from(*packets: bytes, persona: str = "sendmail-8.17") -> Rehearsal:
    """Play packets to a persona."""
    return rehearse(trap, list(packets), rooms.persona(persona), HOME, Settings())


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("<c@d.org>", "c@d.org"),
        ("<c%d.org>", "c@d.org"),
        ("<d.org!c>", "c@d.org"),
        ("<c%d.org@mx1.example.net>", "c@d.org"),
        ('<"c@d.org">', "c@d.org"),
        ("<@a.org,@b.org:c@d.org>", "c@d.org"),
        ("(one)<c@d.org>", "c@d.org"),
        ("<postmaster>", "postmaster@mx1.example.net"),
    ],
)
def test_where_mail_for_an_address_goes(text: str, goal: str) -> None:
    """The relay testers' forms lead to the address within them."""
    assert addresses.recipient(text, HOME.host) == goal


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<>", "NO_USER"),
        ("<@>", "LIST_SYNTAX"),
        ("<a@b@c>", "BAD_ROUTE"),
        ("<a@>", "NO_HOST"),
        ("<@a.org>", "NO_USER_IN_ADDRESS"),
        ("<a@b..org>", "BAD_HOST"),
        ("<a@b.or:>", "COLON_IN_HOST"),
    ],
)
def test_what_is_wrong_with_an_address(text: str, why: str) -> None:
    """Recorded from the running server."""
    with pytest.raises(addresses.Trouble, match=why):
        addresses.recipient(text, HOME.host)


def test_an_address_ends_at_a_blank_outside_brackets_and_quotes() -> None:
    """What follows are parameters."""
    assert addresses.split('<"a b" @c> X=1') == ('<"a b" @c>', " X=1")
    for text, why in (("<a", "START"), ("a>", "END"), ('"a', "QUOTE"), ("(a", "PAREN")):
        with pytest.raises(addresses.Trouble, match=f"UNBALANCED_{why}"):
            addresses.split(text)


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_text_is_an_address_or_trouble(text: str) -> None:
    """No other exception; planted fault: endless rewriting of ``a!!``."""
    try:
        addresses.sender(text)
        addresses.recipient(addresses.split(text).text, HOME.host)
    except addresses.Trouble as trouble:
        assert str(trouble) in NEW.replies  # noqa: PT017 - most texts are no trouble


def test_parameters() -> None:
    """Sizes, bodies, notices; and the empty word that a second address is taken for."""
    assert parameters.of_mail(" SIZE=10 BODY=8BITMIME RET=HDRS ENVID=a") == (None, 10)
    assert parameters.of_mail(" RET=x")[0] == ("BAD_RET", "RET", "x")
    assert parameters.of_mail(" RET=HDRS RET=FULL")[0] == ("DUPLICATE", "RET", "")
    assert parameters.of_mail(" <c@d>")[0] == ("UNKNOWN_PARAMETER", "", "")
    assert parameters.of_rcpt(" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b") is None
    assert parameters.of_rcpt(" NOTIFY=SUCCESS,x") == ("BAD_NOTIFY", "NOTIFY", "x")


def test_what_a_peer_said_is_shown_short_and_in_seven_bits() -> None:
    """As ``shortenstring()`` and the reply channel make it."""
    assert shown("x" * 202) == "x" * 202
    assert shown("a" * 150 + "b" * 150) == "a" * 100 + "..." + "b" * 100
    assert seven("m\xfcller") == "m|ller"


def test_too_many_greetings_cost_time() -> None:
    """The third one a second, each further one twice as much; NOOP from the twentieth."""
    assert heard_from(*[b"EHLO x\r\n"] * 2).paused == 0
    assert heard_from(*[b"EHLO x\r\n"] * 5).paused == 1 + 2 + 4
    assert heard_from(*[b"NOOP\r\n"] * 21).paused == 1 + 2


def test_twenty_six_bad_commands_are_the_end() -> None:
    """The last reply says so."""
    said = heard_from(*[b"FOO\r\n"] * 30).written
    assert said.count(b"500 5.5.1") == 25
    assert said.endswith(
        b"421 4.7.0 mx1.example.net Too many bad commands; closing connection\r\n"
    )


def test_the_new_one_guards_against_smuggling_and_the_old_one_does_not() -> None:
    """The message is kept in either case: it is evidence."""
    smuggled = b"X: y\r\n\r\nhi\r\n.\nMAIL FROM:<x@y>\r\n.\r\n"
    new = heard_from(*OPENED, b"DATA\r\n", smuggled)
    assert new.written.endswith(b"421 4.5.0 Bare linefeed (LF) not allowed\r\n")
    assert len(new.recorded) == 1
    old = heard_from(*OPENED, b"DATA\r\n", smuggled, persona="sendmail-8.12")
    assert old.contents[0] == b"X: y\r\n\r\nhi\r\n"
    assert b"Message accepted for delivery\r\n250 2.1.0 <x@y>... Sender ok" in old.written


def test_who_talks_before_the_reply_to_ehlo_gets_no_further() -> None:
    """QUIT still works; the old one does not care."""
    early = b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nQUIT\r\n"
    assert heard_from(early).written.partition(b"\r\n")[2] == (
        b"554 5.5.0 SMTP protocol error\r\n"
        b"550 5.0.0 Command rejected\r\n"
        b"221 2.0.0 mx1.example.net closing connection\r\n"
    )
    assert b"Sender ok" in heard_from(early, persona="sendmail-8.12").written


def test_clients_of_open_proxies_are_known_by_their_first_word() -> None:
    """Only the first; and the old one does not know them."""
    assert (
        b"421 4.7.0 mx1.example.net Rejecting open proxy" in heard_from(b"GET / x\r\n").written
    )
    assert b"500 5.5.1" in heard_from(b"EHLO x\r\nGET / x\r\n").written
    assert b"500 5.5.1" in heard_from(b"GET / x\r\n", persona="sendmail-8.12").written


def test_the_old_one_was_built_without_tls_and_auth() -> None:
    """What is not advertised is not known either."""
    said = heard_from(b"EHLO x\r\nSTARTTLS\r\nAUTH LOGIN\r\n", persona="sendmail-8.12").written
    assert said.count(b"500 5.5.1 Command unrecognized") == 2
    assert b"STARTTLS\r\n" not in said


def test_queue_ids_tell_the_time() -> None:
    """Year to second in base 60, a turn, the process; each message its own."""
    body = b"DATA\r\nx\r\n.\r\n"
    said = heard_from(*OPENED, body, *OPENED, body, persona="sendmail-8.12").written.decode()
    ids = re.findall(r"250 2\.0\.0 (\w{8}\d{6,7}) Message accepted", said)
    assert len(set(ids)) == 2
    when = [DIGITS.index(digit) for digit in ids[0][:6]]
    assert when == [125 % 60, 10, 23, 12, 0, 0]
    assert date(NOON) == "Sun, 23 Nov 2025 12:00:00 GMT"
