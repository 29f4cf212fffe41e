"""Exim's parts, each by itself; tests/fidelity holds whole dialogues to the real one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import rooms
from trapline.dialects._exim_address import Malformed, parse, unquoted, valid_helo
from trapline.dialects._exim_memory import BASE62, Memory, date, message_id, process_id
from trapline.dialects._exim_message import Place, read
from trapline.dialects._exim_parameters import of_mail, of_rcpt
from trapline.events import MailOffered
from trapline.persona import Identity
from trapline.rehearsal import NOON, Rehearsal, rehearse
from trapline.session import Tls
from trapline.traps.smtp import Settings, trap

EXIM = rooms.persona("exim-4.96")
HOME = Identity("mx1.example.net", b"a seed of this install")
GONE = b"421 mx1.example.net lost input connection\r\n"
OPENED = b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n"


def heard_from(*packets: bytes, settings: Settings | None = None) -> Rehearsal:
    """Play packets to the persona."""
    return rehearse(trap, list(packets), EXIM, HOME, settings or Settings())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<a@b.org>", "a@b.org"),
        ("a@b.org", "a@b.org"),
        ("<@x.org,@y.org:a@b.org>", "a@b.org"),
        ('<"a b"@c.org>', '"a b"@c.org'),
        ("Me (one) there <a@b.org> (two)", "a@b.org"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("<a..b.@c.org>", "a..b.@c.org"),
    ],
)
def test_addresses_as_the_running_exim_takes_them(text: str, address: str) -> None:
    """Recorded; brackets forbid a literal that is fine without them."""
    assert parse(text, null=False, utf8=False).text == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty address"),
        ("<>", "missing or malformed local part"),
        ("<a@b.org", "'>' missing at end of address"),
        ("<a@b@c>", "malformed address: @c> may not follow <a@b"),
        ("<a@b_c>", "malformed address: _c> may not follow <a@b"),
        ("<a@[192.0.2.1]>", "domain literals not allowed"),
        ("<a@>", "domain missing or malformed"),
        ("<@a.org>", "no local part"),
        ("<@a.org,b@c>", "colon expected after route list"),
        ('<"a@b>', "unmatched doublequote in local part"),
        ("a b", 'missing or malformed local part (expected word or "<")'),
        ("<a\x01@b>", '"@" or "." expected after "a"'),
    ],
)
def test_complaints_as_the_running_exim_words_them(text: str, why: str) -> None:
    """Recorded."""
    with pytest.raises(Malformed) as told:
        parse(text, null=False, utf8=False)
    assert str(told.value) == why


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\0"), max_size=60))
def test_any_text_is_an_address_or_a_complaint(text: str) -> None:
    """No other exception, no endless loop; planted fault: an escape at the very end."""
    try:
        address = parse(text, null=True, utf8=True)
    except Malformed as why:
        assert str(why)  # noqa: PT017 - the other way is as good
    else:
        assert address.domain == "" or address.text.endswith("@" + address.domain)


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("x", True),
        ("a..b", True),
        ("[192.0.2.7]", True),
        ("[IPv6:2001:db8::1]", True),
        ("[IPv6:fe80::1%eth0]", True),
        ("[IPv6:192.0.2.7]", False),
        ("[192.0.2.300]", False),
        ("[]", False),
        ("a_b", False),
        ("m\xfcller", False),
        ("", False),
    ],
)
def test_names_of_hosts(name: str, *, fine: bool) -> None:
    """helo_allow_chars is empty, as shipped."""
    assert valid_helo(name) is fine


def test_unquoted() -> None:
    """The policy is asked about mailboxes, not about quotes."""
    assert unquoted('"a\\"b"@c.org') == 'a"b@c.org'
    assert unquoted("a@b.org") == "a@b.org"


def test_parameters_are_cut_from_the_right() -> None:
    """And what cannot be taken is put back, though not as it was."""
    mail = of_mail("<a@b.org> SIZE=10 BODY=8BITMIME SMTPUTF8", utf8=True)
    assert (mail.rest, mail.size, mail.utf8) == ("<a@b.org>", 10, True)
    assert mail.taken == ["SMTPUTF8", "BODY=8BITMIME", "SIZE=10"]
    assert of_mail("<a@b.org> FOO=1", utf8=True).rest == "<a@b.org> FOO=1"
    assert of_mail("<a@b.org> BODY=9BIT", utf8=True).trouble == "BAD_BODY"
    assert of_mail("<a@b.org> SIZE=99999999999999999999", utf8=True).size == 2**31 - 1
    assert of_rcpt("<a@b.org> junk") == "<a@b.org>=junk"
    assert of_rcpt('<"a b"@c.org>') == '<"a b"@c.org>'


@pytest.mark.parametrize(
    ("octets", "place", "total"),
    [
        (b"", Place.LINE, 2),
        (b"test", Place.LINE, 7),
        (b"X: y\r\n", Place.BETWEEN, 6),
        (b"no header\r\n", Place.NO_HEADER, 12),
        (b"X: y\n", Place.NOT_CRLF, 0),
        (b"X: y\nabc", Place.REFUSED, 0),
        (b"X: y\r\n\r\n", Place.BODY, 8),
        (b"Subject: hello\r\n\r\nhi\r\n", Place.BODY, 22),
        (b"X: y\r\nhi\r\n", Place.NO_HEADER, 11),
    ],
)
def test_where_the_reader_stands_and_what_it_counts(
    octets: bytes, place: Place, total: int
) -> None:
    """Recorded: ``250- 4 byte chunk, total 7`` and its like."""
    seen = read(octets)
    assert (seen.place, seen.total) == (place, total)


@given(st.binary(max_size=200))
def test_a_reader_never_falls_over(octets: bytes) -> None:
    """What strangers send in chunks is any octets at all."""
    assert read(octets).total >= 0


def test_message_ids_are_the_clock_in_base_62() -> None:
    """An observer who decodes one finds the time of day; two in a session differ."""
    memory = Memory(pid=1234, synchronous=False)
    first, second = message_id(NOON, memory), message_id(NOON, memory)
    assert re.fullmatch(r"\w{6}-\w{6}-\w{2}", first)
    assert first != second
    seconds = 0
    for digit in first[:6]:
        seconds = seconds * 62 + BASE62.index(digit)
    assert seconds == NOON // 10**9
    assert date(NOON) == "Sun, 23 Nov 2025 12:00:00 +0000"


def test_process_ids_count_up_with_time() -> None:
    """A later session has a later process, as on a real machine."""
    hour = 3600 * 10**9
    pids = [process_id(NOON + n * hour, "192.0.2.7", HOME) for n in range(5)]
    assert pids == sorted(pids)
    assert all(0 < pid < 2**22 for pid in pids)


def test_who_does_not_wait_is_thrown_out_after_the_first_message() -> None:
    """PIPECONNECT lets him talk early until then; planted fault: waiting from the start."""
    impatient = b"DATA\r\nx\r\n.\r\n"
    once = heard_from(OPENED, impatient).written
    assert b"250 OK id=" in once
    twice = heard_from(OPENED, impatient, OPENED, impatient).written
    assert twice.endswith(b"554 SMTP synchronization error\r\n")


def test_four_errors_are_one_too_many() -> None:
    """Syntax errors, unknown commands and small talk each have their limit."""
    unknown = heard_from(b"FOO\r\n" * 9).written
    assert unknown.endswith(b"500 Too many unrecognized commands\r\n")
    assert unknown.count(b"500 ") == 4
    syntax = heard_from(b"RSET x\r\n" * 9).written
    assert syntax.endswith(b"501 Too many syntax or protocol errors\r\n")
    talk = heard_from(*[b"NOOP\r\n"] * 15).written
    assert talk.endswith(b"554 Too many nonmail commands\r\n")
    assert talk.count(b"250 OK") == 10


def test_a_line_of_sixteen_kilobytes_is_cut_in_two() -> None:
    """Both halves are commands that nobody knows."""
    said = heard_from(b"NOOP " + b"x" * 17000 + b"\r\n").written
    assert said.count(b"500 unrecognized command") == 2


def test_a_message_of_bare_line_feeds_is_taken_and_kept_as_it_came() -> None:
    """Its first line ended so; smuggling into an ordinary message fails."""
    stage = heard_from(OPENED, b"DATA\r\n", b"X: y\n\nhi\n.\n")
    assert stage.contents == [b"X: y\n\nhi\n"]
    stage = heard_from(OPENED, b"DATA\r\n", b"X: y\r\n\r\nhi\n.\nQUIT\r\n.\r\n")
    assert stage.contents == [b"X: y\r\n\r\nhi\n.\nQUIT\r\n"]


def test_chunks_are_kept_whole() -> None:
    """Two chunks are one message, octet by octet."""
    stage = heard_from(OPENED, b"BDAT 8\r\nX: y\r\n\r\nBDAT 3 LAST\r\n\0.\xff")
    assert stage.contents == [b"X: y\r\n\r\n\0.\xff"]
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    assert mail.chunked
    assert b"250- 3 byte chunk, total 13\r\n250 OK id=" in stage.written


def test_what_the_policy_turns_down_is_worded_as_an_acl_would() -> None:
    """And DATA quotes it, if nobody else was taken."""
    settings = Settings(recipients="relay after AUTH")
    said = heard_from(OPENED, b"DATA\r\n", settings=settings).written
    assert said.removesuffix(GONE).endswith(
        b"550 relay not permitted\r\n"
        b"503-All RCPT commands were rejected with this error:\r\n"
        b"503-relay not permitted\r\n"
        b"503 Valid RCPT command must precede DATA\r\n"
    )


def test_within_tls_nobody_is_told_why_the_session_ends() -> None:
    """Exim writes its last words past TLS, so that no client there can read them."""
    clear, hidden = [b"EHLO x\r\n"], [b"EHLO x\r\n", b"STARTTLS\r\n"]
    tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    for packets, words in ((clear, 1), (hidden, 0)):
        heard = [*packets, b"FOO\r\n" * 4]
        said = rehearse(trap, heard, EXIM, HOME, Settings(), tls=tls).written
        assert said.count(b"500 unrecognized command\r\n") == 3
        assert said.count(b"500 Too many unrecognized commands\r\n") == words
