"""Contract of the SMTP traps: what must hold for each of them with each persona."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline import rooms
from trapline.events import AuthTried, MailOffered
from trapline.persona import Identity, Persona
from trapline.rehearsal import Rehearsal, rehearse
from trapline.traps import smtp, submission

HOME = Identity("mx1.example.net", b"a seed of this install")
TRAPS = {"smtp": smtp, "submission": submission}
CASES = [(kind, persona) for kind in TRAPS for persona in rooms.personas().values()]
IDS = [f"{kind}-{persona.name}" for kind, persona in CASES]

WORDS = st.sampled_from(
    [
        b"EHLO x", b"HELO x", b"MAIL FROM:<a@b.org>", b"RCPT TO:<c@d.org>", b"DATA", b".",
        b"BDAT 5", b"BDAT 3 LAST", b"BDAT 99999999", b"RSET", b"NOOP", b"VRFY x", b"EXPN x",
        b"ETRN x", b"HELP", b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH CRAM-MD5", b"*", b"=",
        b"AGpvZQBwYXNz", b"STARTTLS", b"QUIT", b"GET / HTTP/1.0", b"\x16\x03\x01", b"",
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b"", b"\0\r\n", b" " * 2000])
LINES = st.lists(st.tuples(WORDS | st.binary(max_size=40), ENDS).map(b"".join), max_size=20)


def play(
    kind: str, persona: Persona, heard: list[bytes], *, disk_full: bool = False
) -> Rehearsal:
    """Let a stranger talk to a trap that offers all it has."""
    module = TRAPS[kind]
    return rehearse(
        module.trap, heard, persona, HOME, module.Settings(auth="always"), disk_full=disk_full
    )


@pytest.mark.parametrize(("kind", "persona"), CASES, ids=IDS)
@settings(max_examples=60, deadline=None)
@given(heard=LINES)
def test_garbage_in_no_exception_nothing_awaited_but_the_session(
    kind: str, persona: Persona, heard: list[bytes]
) -> None:
    """``rehearse`` fails on anything else; planted fault: ``str.upper`` on latin-1 text."""
    stage = play(kind, persona, heard)
    for reply in stage.written.split(b"\r\n")[:-1]:
        assert re.match(rb"[2-5][0-9][0-9][ -]", reply), reply
    assert b"\n" not in stage.written.replace(b"\r\n", b"")
    assert not any(e.accepted for e in stage.noted if isinstance(e, AuthTried))


@pytest.mark.parametrize(("kind", "persona"), CASES, ids=IDS)
@settings(max_examples=30, deadline=None)
@given(heard=LINES)
def test_no_promise_without_a_record(kind: str, persona: Persona, heard: list[bytes]) -> None:
    """With a full disk no message is acknowledged; planted fault: ignoring NotKept."""
    body = [b"EHLO x\r\n", b"MAIL FROM:<a@b.org>\r\n", b"RCPT TO:<c@d.org>\r\n", b"DATA\r\n"]
    end = [b"hi\r\n.\r\n", b"QUIT\r\n"]
    stage = play(kind, persona, body + heard + end, disk_full=True)
    assert stage.recorded == []
    replies = [r for r in stage.written.split(b"\r\n") if r[3:4] == b" "]
    after = "".join(chr(r[0]) for r in replies).partition("3")[2]
    assert not after.startswith("2")


@pytest.mark.parametrize("persona", rooms.personas().values(), ids=lambda p: p.name)
def test_a_plain_dialogue_brings_in_a_message(persona: Persona) -> None:
    """Whatever the persona, its open relay takes ordinary mail and keeps it to the octet."""
    heard = [
        b"EHLO mail.example.org\r\n",
        b"MAIL FROM:<a@b.org>\r\n",
        b"RCPT TO:<c@d.org>\r\n",
        b"DATA\r\n",
        b"Subject: x\r\n\r\n..hi \xff\r\n.\r\n",
        b"QUIT\r\n",
    ]
    stage = rehearse(smtp.trap, heard, persona, HOME, smtp.Settings())
    (mail,) = stage.recorded
    assert isinstance(mail, MailOffered)
    assert (mail.sender, mail.recipients) == ("a@b.org", ("c@d.org",))
    assert stage.contents == [b"Subject: x\r\n\r\n.hi \xff\r\n"]
    codes = [r[:3] for r in stage.written.split(b"\r\n") if r[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert HOME.host.encode() in stage.written
