"""Open-relay trap: each test is a dialogue played from memory, without an event loop.

The laws at the end hold for a server that lets clients pipeline as they like.
"""

import base64
import hashlib
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import rooms
from trapline.errors import TimedOut
from trapline.events import AuthTried, EnvelopeDropped, Greeted, MailOffered, OddHeard
from trapline.persona import Identity
from trapline.rehearsal import LOCAL, NOON, PEER, Rehearsal, rehearse
from trapline.session import Need, Session, Tls
from trapline.traps._policy import Policy
from trapline.traps.smtp import Bait, Settings, trap

POSTFIX = rooms.persona("postfix-3.7")
HOME = Identity("mx1.example.net", b"a seed of this install")
OPEN = Settings()
EHLO = b"EHLO mail.example.org\r\n"
TO_RCPT = EHLO + b"MAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n"
TO_DATA = TO_RCPT + b"DATA\r\n"
AUTH = Settings(auth="always")


def played(
    heard: bytes | list[bytes],
    settings: Settings = OPEN,
    *,
    disk_full: bool = False,
    tls: Tls | None = None,
) -> Rehearsal:
    """Play a dialogue to the Postfix persona, whose queue ids begin anew."""
    persona = msgspec.structs.replace(POSTFIX)
    return rehearse(trap, heard, persona, HOME, settings, disk_full=disk_full, tls=tls)


def codes(stage: Rehearsal) -> list[str]:
    """Return the reply codes, one per reply."""
    lines = stage.written.split(b"\r\n")[:-1]
    return [line[:3].decode() for line in lines if line[3:4] == b" "]


def last(stage: Rehearsal) -> str:
    """Return the last line that the trap said."""
    return stage.written.split(b"\r\n")[-2].decode("latin-1")


def noted(stage: Rehearsal, kind: type[Any]) -> list[Any]:
    """Return the noted facts of one kind."""
    return [event for event in stage.noted if isinstance(event, kind)]


def odd(stage: Rehearsal) -> set[str]:
    """Return the names of the oddities recorded."""
    return {event.what for event in noted(stage, OddHeard)}


# -- mail --------------------------------------------------------------------------------


def test_a_message_is_kept_with_its_envelope() -> None:
    """Dots are undone, sizes are in octets, and the reply is our receipt."""
    stage = played(TO_DATA + b"hi\r\n..x\r\n.\r\nQUIT\r\n")
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    assert (mail.sender, mail.recipients, mail.size, mail.kept) == (
        "a@b.org",
        ("c@d.org",),
        8,
        8,
    )
    assert stage.contents == [b"hi\r\n.x\r\n"]
    assert mail.content == hashlib.sha256(b"hi\r\n.x\r\n").hexdigest()
    assert mail.helo == "mail.example.org"
    assert mail.answer.encode() + b"\r\n" in stage.written
    assert codes(stage) == ["220", "250", "250", "250", "354", "250", "221"]
    assert stage.session.closing == "quit"


def test_no_250_without_a_record() -> None:
    """Planted fault: swallowing NotKept in ``_keep`` without another answer."""
    stage = played(TO_DATA + b"hi\r\n.\r\nQUIT\r\n", disk_full=True)
    assert codes(stage)[-2:] == ["452", "221"]
    assert stage.recorded == []
    stage = played(TO_RCPT + b"BDAT 2 LAST\r\nhiQUIT\r\n", disk_full=True)
    assert codes(stage)[-2:] == ["452", "221"]


def test_the_record_comes_before_the_reply() -> None:
    """When the trap asks for the commit, the 250 is not yet written."""
    said: list[bytes] = []
    session = Session(PEER, LOCAL, NOON, lambda *_, **__: None)
    running = trap(session, POSTFIX, HOME, OPEN)
    session.feed(TO_DATA + b"hi\r\n.\r\n")
    while running.send(None) is not Need.COMMIT:
        pass
    said.append(session.outgoing())
    assert b"queued as" not in said[0]
    running.send(None)
    assert b"queued as" in session.outgoing()


def test_parameters_and_refused_recipients_are_kept() -> None:
    """What was asked for, and whom we turned down, is evidence."""
    settings = Settings(recipients="MX of these domains", domains=("ours.example",))
    stage = played(
        EHLO + b"MAIL FROM:<> SIZE=9 BODY=8BITMIME RET=HDRS\r\n"
        b"RCPT TO:<x@far.example>\r\nRCPT TO:<info@ours.example> NOTIFY=NEVER\r\n"
        b"DATA\r\nhi\r\n.\r\n",
        settings,
    )
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    assert mail.sender == ""
    assert mail.parameters == ("SIZE=9", "BODY=8BITMIME", "RET=HDRS", "NOTIFY=NEVER")
    assert (mail.recipients, mail.refused) == (("info@ours.example",), ("x@far.example",))


def test_a_message_over_the_limit_is_read_to_its_end() -> None:
    """Its first part is evidence; the dialogue stays in step."""
    stage = played(TO_DATA + b"x" * 5000 + b"\r\n.\r\nNOOP\r\n", Settings(size=1000))
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    assert (mail.size, mail.kept, len(stage.contents[0])) == (5002, 1000, 1000)
    assert codes(stage)[-2:] == ["552", "250"]


def test_chunks_make_one_message() -> None:
    """BDAT: several chunks, an empty last one, octets as they are."""
    stage = played(TO_RCPT + b"BDAT 3\r\na\r\nBDAT 4\r\n.\r\n\0BDAT 0 LAST\r\nQUIT\r\n")
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    assert mail.chunked
    assert stage.contents == [b"a\r\n.\r\n\0"]
    assert codes(stage)[4:] == ["250", "250", "250", "221"]


def test_chunks_out_of_place_are_read_and_dropped() -> None:
    """What follows a refused BDAT is a body, never commands."""
    stage = played(EHLO + b"BDAT 7 LAST\r\nRSET\r\nxNOOP\r\n")
    assert codes(stage) == ["220", "250", "503", "250"]
    stage = played(TO_RCPT + b"BDAT 0\r\nBDAT 2\r\nhiBDAT 2 LAST\r\nhiMAIL FROM:<a@b.org>\r\n")
    assert codes(stage)[4:] == ["551", "551", "551", "250"]
    assert [e.reason for e in noted(stage, EnvelopeDropped)] == ["refused"]


def test_a_chunk_too_big_is_not_kept() -> None:
    """The limit counts all chunks of a message."""
    settings = Settings(size=1000)
    stage = played(
        TO_RCPT + b"BDAT 600\r\n" + b"x" * 600 + b"BDAT 600 LAST\r\n" + b"x" * 600, settings
    )
    assert codes(stage)[-2:] == ["250", "552"]
    assert stage.recorded == []


# -- envelopes without a message -----------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "reason"),
    [(b"RSET\r\n", "reset"), (b"QUIT\r\n", "quit"), (b"", "gone"), (b"EHLO x\r\n", "reset")],
)
def test_an_envelope_without_a_message_is_recorded(end: bytes, reason: str) -> None:
    """That is how scanners ask for a relay."""
    (dropped,) = noted(played(TO_RCPT + end), EnvelopeDropped)
    assert (dropped.recipients, dropped.reason) == (("c@d.org",), reason)


def test_nothing_is_dropped_after_a_message() -> None:
    """The envelope went with the message."""
    assert noted(played(TO_DATA + b"x\r\n.\r\nRSET\r\nQUIT\r\n"), EnvelopeDropped) == []


def test_greetings_are_noted_once_per_name() -> None:
    """A client that says EHLO a thousand times makes one fact."""
    stage = played(b"HELO a\r\n" + b"EHLO b\r\n" * 5)
    assert [(e.verb, e.name) for e in noted(stage, Greeted)] == [("HELO", "a"), ("EHLO", "b")]


def test_silence_ends_with_the_servers_own_words() -> None:
    """The driver throws TimedOut into whatever read is under way."""
    session = Session(PEER, LOCAL, NOON, lambda *_, **__: None)
    running = trap(session, POSTFIX, HOME, OPEN)
    running.send(None)
    session.outgoing()
    with pytest.raises(StopIteration):
        running.throw(TimedOut())
    assert session.outgoing() == b"421 4.4.2 mx1.example.net Error: timeout exceeded\r\n"
    assert session.closing == "timeout"


# -- whom it takes -------------------------------------------------------------------------


def answers_to(recipients: list[str], settings: Settings) -> list[str]:
    """Return the reply code to each recipient."""
    lines = "".join(f"RCPT TO:<{r}>\r\n" for r in recipients).encode()
    return codes(played(EHLO + b"MAIL FROM:<a@b.org>\r\n" + lines, settings))[3:]


def test_an_open_relay_takes_all_but_most_unknown_local_users() -> None:
    """With own domains it is no catch-all; the same address always gets the same answer."""
    settings = Settings(own_domains=("ours.example",))
    users = [f"user{n}@ours.example" for n in range(18)]
    first = answers_to(users, settings)
    assert first == answers_to(users, settings)
    assert first.count("550") > 12
    assert (
        answers_to(["info@ours.example", "postmaster", "x@far.example"], settings)
        == ["250"] * 3
    )
    assert set(answers_to([f"u{n}%far.example@ours.example" for n in range(9)], settings)) == {
        "250"
    }


def test_existing_mailboxes_are_few_and_differ_per_install() -> None:
    """About one in twenty, not the same ones everywhere."""
    settings = Settings(own_domains=("ours.example",))
    here, there = (
        Policy(settings, HOME),
        Policy(settings, Identity("mx2.example.net", b"other")),
    )
    ours = {n for n in range(2000) if here.exists(f"user{n}", "ours.example")}
    theirs = {n for n in range(2000) if there.exists(f"user{n}", "ours.example")}
    assert 50 < len(ours) < 200
    assert ours != theirs


def test_a_wrong_domain_trap_takes_only_what_is_not_ours() -> None:
    """Greytrap: mail for our own domain goes elsewhere."""
    settings = Settings(recipients="wrong-domain", own_domains=("ours.example",))
    assert answers_to(["info@ours.example", "x@far.example"], settings) == ["454", "250"]


def test_an_mx_needs_domains() -> None:
    """A trap that takes nothing is a mistake in the configuration."""
    with pytest.raises(ValueError, match="needs domains"):
        Settings(recipients="MX of these domains")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"recipient": "open relay"}, Settings)


# -- credentials ---------------------------------------------------------------------------


def b64(octets: bytes) -> bytes:
    """Encode for the wire."""
    return base64.b64encode(octets)


@pytest.mark.parametrize(
    "said",
    [
        b"AUTH PLAIN " + b64(b"\0joe\0pa\xffss\r\n") + b"\r\n",
        b"AUTH PLAIN\r\n" + b64(b"\0joe\0pa\xffss\r\n") + b"\r\n",
        b"AUTH LOGIN\r\n" + b64(b"joe") + b"\r\n" + b64(b"pa\xffss\r\n") + b"\r\n",
        b"AUTH LOGIN " + b64(b"joe") + b"\r\n" + b64(b"pa\xffss\r\n") + b"\r\n",
    ],
)
def test_credentials_are_captured_to_the_octet_and_refused(said: bytes) -> None:
    """8-bit octets and line ends in a password included."""
    stage = played(EHLO + said, AUTH)
    (tried,) = noted(stage, AuthTried)
    assert (tried.user, tried.password, tried.accepted) == ("joe", "pa\xffss\r\n", False)
    assert codes(stage)[-1] == "535"


def test_cram_md5_keeps_challenge_and_response() -> None:
    """A digest can be attacked later; the password itself never crossed the wire."""
    stage = played(EHLO + b"AUTH CRAM-MD5\r\n" + b64(b"joe " + b"0" * 32) + b"\r\n", AUTH)
    (tried,) = noted(stage, AuthTried)
    challenge, _, response = tried.response.partition("> ")
    assert challenge.startswith("<")
    assert challenge.endswith("@mx1.example.net")
    assert response == "joe " + "0" * 32
    assert (tried.user, tried.password, tried.accepted) == ("joe", "", False)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"PLAIN", b"LOGIN", b"CRAM-MD5", b"X"]),
    st.booleans(),
)
def test_garbage_never_authenticates(octets: bytes, mechanism: bytes, encoded: bool) -> None:  # noqa: FBT001
    """Planted fault: ``accepted=True`` in ``authenticate``."""
    response = b64(octets) if encoded else octets.replace(b"\n", b"")
    said = b"AUTH " + mechanism + b"\r\n" + (response + b"\r\n") * 2
    settings = Settings(auth="always", failures=0, credentials=(Bait("joe", "secret"),))
    assert "235" not in codes(played(EHLO + said, settings))


def test_bait_works_only_after_enough_failures_in_the_network() -> None:
    """And then it keeps working, and opens the relay."""
    settings = Settings(
        auth="always",
        recipients="relay after AUTH",
        failures=2,
        credentials=(Bait("joe", "bait-of-this-test"),),
    )
    bait = b"AUTH PLAIN " + b64(b"\0joe\0bait-of-this-test") + b"\r\n"
    relay = b"MAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\n"
    stage = played(EHLO + bait + bait + relay + b"RSET\r\n" + bait + relay, settings)
    assert codes(stage)[2:] == ["535", "535", "250", "454", "250", "235", "250", "250"]
    assert [e.accepted for e in noted(stage, AuthTried)] == [False, False, True]
    assert codes(played(EHLO + bait, settings))[-1] == "235"


def test_auth_is_refused_where_it_is_not_offered() -> None:
    """And offered only in TLS if the settings say so."""
    said = EHLO + b"AUTH LOGIN\r\n"
    assert codes(played(said))[-1] == "503"
    assert b"AUTH" not in played(EHLO).written
    tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    stage = played(
        [EHLO, b"STARTTLS\r\n", EHLO + b"AUTH LOGIN\r\n"], Settings(auth="after TLS"), tls=tls
    )
    clear, sealed = stage.written.split(b"220 2.0.0 Ready")
    assert b"AUTH" not in clear
    assert b"250-AUTH PLAIN LOGIN CRAM-MD5" in sealed
    assert b"334 VXNlcm5hbWU6" in sealed


# -- TLS -----------------------------------------------------------------------------------


def test_starttls_forgets_what_was_said_in_the_clear() -> None:
    """Injected commands are dropped and recorded (CVE-2011-0411)."""
    tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    stage = played(
        [TO_RCPT + b"STARTTLS\r\nRSET\r\nQUIT\r\n", b"RCPT TO:<x@y.org>\r\n"], tls=tls
    )
    assert codes(stage)[4:] == ["220", "503"]
    assert "injected-before-tls" in odd(stage)
    assert [e.reason for e in noted(stage, EnvelopeDropped)] == ["reset"]


def test_starttls_can_be_required_or_off() -> None:
    """As ``smtpd_tls_security_level = encrypt`` and ``none`` do."""
    assert codes(played(TO_RCPT, Settings(tls="required")))[2:] == ["530", "530"]
    assert codes(played(EHLO + b"STARTTLS\r\n", Settings(tls="off")))[-1] == "502"
    assert b"STARTTLS" not in played(EHLO, Settings(tls="off")).written


# -- oddities ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls-hello"),
        (b"\x16\x03\x01\x02\x00\n", "tls-hello"),
        (b"HELLO\r\n", "junk"),
        (b"NOOP\n", "bare-lf"),
        (b"NOOP\rNOOP\r\n", "bare-cr"),
        (b"NOOP \0\r\n", "nul"),
        (EHLO + b"NOOP \0\r\n", "nul"),
        (b"NOOP \xff\r\n", "eight-bit"),
        (b"NOOP " + b"x" * 3000 + b"\r\n", "long-line"),
        (EHLO + b"MAIL FROM:<a@b.org>\r\n", "pipelined-early"),
        (TO_DATA + b"x\r\n\n.\r\nMAIL FROM:<z@b.org>\r\n", "smuggling"),
    ],
)
def test_what_no_mail_server_says_is_recorded(said: bytes, what: str) -> None:
    """Each kind once, with an excerpt."""
    assert what in odd(played(said))


def test_a_long_line_cut_before_its_end_is_skipped_all_the_same() -> None:
    """Planted fault: a bare CR just before the cut taken for the end of the line."""
    limit = POSTFIX.limits["line"]
    line = b"NOOP " + b"x" * (limit - 7) + b"\rxRSET\r\n"
    stage = played(EHLO + line)
    assert codes(stage) == ["220", "250", "250"]
    assert "long-line" in odd(stage)


def test_smuggling_is_seen_where_it_does_not_work() -> None:
    """A server that is not fooled still remembers who tried."""
    stage = rehearse(
        trap,
        [EHLO, TO_RCPT[len(EHLO) :], b"DATA\r\n", b"x\r\n\n.\nMAIL FROM:<z@b.org>\r\n.\r\n"],
        rooms.persona("postfix-3.10"),
        HOME,
        OPEN,
    )
    assert "smuggling" in odd(stage)
    assert stage.contents == [b"x\r\n\n.\nMAIL FROM:<z@b.org>\r\n"]


def test_oddities_do_not_flood_the_journal() -> None:
    """A session full of one kind makes one fact."""
    assert len(noted(played(b"NOOP\n" * 500), OddHeard)) == 1


def test_garbage_in_auth_is_recorded_as_it_came() -> None:
    """Not even base64, but somebody's password all the same."""
    stage = played(EHLO + b"AUTH LOGIN\r\nhunter2!\r\n", AUTH)
    (heard,) = [e for e in noted(stage, OddHeard) if e.what == "bad-auth"]
    assert heard.excerpt == "hunter2!\r\n"


def test_a_tarpit_slows_every_answer() -> None:
    """And ``greet_seconds`` the banner."""
    stage = played(EHLO + b"NOOP\r\n", Settings(tarpit_seconds=2.0, greet_seconds=1.0))
    assert stage.paused == 5.0


# -- laws ----------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        EHLO,
        b"HELO x\r\n",
        b"MAIL FROM:<a@b.org>\r\n",
        b"MAIL FROM:<> SIZE=3\r\n",
        b"RCPT TO:<c@d.org>\r\n",
        b"RCPT TO:<e@f.org> NOTIFY=NEVER\r\n",
        b"RCPT TO:<>\r\n",
        b"DATA\r\nhi\r\n..\r\n\0\xff\r\n.\r\n",
        b"DATA\r\n.\r\n",
        b"BDAT 3\r\na\nb",
        b"BDAT 2 LAST\r\n\r\n",
        b"BDAT 0 LAST\r\n",
        b"RSET\r\n",
        b"NOOP\n",
        b"AUTH PLAIN AGpvZQBwYXNz\r\n",
        b"AUTH LOGIN\r\nam9l\r\ncGFzcw==\r\n",
        b"AUTH LOGIN\r\n*\r\n",
        b"FOO\0\xff\r\n",
        b"VRFY root\r\n",
        b"NOOP " + b"x" * 2100 + b"\r\n",
        b"QUIT\r\n",
    ]
)
DIALOGUES = st.lists(LINES, max_size=14)


def facts(stage: Rehearsal) -> tuple[bytes, list[object], list[object], list[bytes]]:
    """Return all that must not depend on how the octets came in pieces."""
    early = [e for e in stage.noted if getattr(e, "what", "") != "pipelined-early"]
    return stage.written, list(stage.recorded), list(early), stage.contents


@given(DIALOGUES, st.data())
def test_any_split_of_the_octets_gives_the_same(
    lines: list[bytes], data: st.DataObject
) -> None:
    """Planted fault: forgetting the searched part of the buffer in ``read_line``."""
    heard = b"".join(lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, max(0, len(heard))), max_size=12)))
    bounds = [0, *cuts, len(heard)]
    pieces = [heard[a:b] for a, b in itertools.pairwise(bounds) if a < b]
    assert facts(played(pieces, AUTH)) == facts(played(heard, AUTH))


@given(DIALOGUES)
def test_pipelined_and_patient_clients_hear_the_same(lines: list[bytes]) -> None:
    """Byte by byte, line by line, or all at once."""
    heard = b"".join(lines)
    assert facts(played([bytes([b]) for b in heard], AUTH)) == facts(played(lines, AUTH))
    assert facts(played(lines, AUTH)) == facts(played(heard, AUTH))


@given(
    st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"\0", b"\xff", b"x", b" "]))
)
def test_bodies_are_exact_to_the_octet(parts: list[bytes]) -> None:
    """What is stuffed by the rules comes out as it was; planted fault: dots undone after LF."""
    body = b"".join(parts)
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    stuffed = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    persona = rooms.persona("postfix-3.10")
    steps = [EHLO, TO_RCPT[len(EHLO) :], b"DATA\r\n", stuffed + b".\r\n"]
    assert rehearse(trap, steps, persona, HOME, OPEN).contents == [body]
    chunk = b"BDAT %d LAST\r\n" % len(body)
    assert played(TO_RCPT + chunk + body).contents == [body]


@given(DIALOGUES)
def test_every_message_taken_is_on_record(lines: list[bytes]) -> None:
    """As many receipts as records; planted fault: answering before recording."""
    stage = played(lines)
    receipts = stage.written.count(b"queued as")
    assert receipts == len(stage.recorded)
    assert played(lines, disk_full=True).written.count(b"queued as") == 0
