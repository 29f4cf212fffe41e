"""Submission trap: only who authenticated may send; texts as a running Postfix 3.7 has them."""

import base64

from trapline import rooms
from trapline.events import AuthTried, EnvelopeDropped
from trapline.persona import Identity
from trapline.rehearsal import rehearse
from trapline.traps.smtp import Bait
from trapline.traps.submission import Settings, trap

POSTFIX = rooms.persona("postfix-3.7")
HOME = Identity("mx1.example.net", b"a seed of this install")


def test_mail_needs_authentication() -> None:
    """The sender is taken, the recipient is not: ``permit_sasl_authenticated,reject``."""
    heard = b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<x@y.org>\r\nDATA\r\nQUIT\r\n"
    stage = rehearse(trap, heard, POSTFIX, HOME, Settings())
    assert b"250-AUTH PLAIN LOGIN CRAM-MD5\r\n" in stage.written
    assert stage.written.endswith(
        b"250 2.1.0 Ok\r\n"
        b"554 5.7.1 <x@y.org>: Recipient address rejected: Access denied\r\n"
        b"554 5.5.1 Error: no valid recipients\r\n"
        b"221 2.0.0 Bye\r\n"
    )
    (dropped,) = [e for e in stage.noted if isinstance(e, EnvelopeDropped)]
    assert dropped.refused == ("x@y.org",)


def test_bait_opens_the_way() -> None:
    """Who found the bait may send; the message says who it was."""
    settings = Settings(failures=0, credentials=(Bait("scan", "scan2026"),))
    bait = base64.b64encode(b"\0scan\0scan2026")
    heard = (
        b"EHLO x\r\nAUTH PLAIN " + bait + b"\r\nMAIL FROM:<a@b.org> AUTH=<>\r\n"
        b"RCPT TO:<x@y.org>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"
    )
    stage = rehearse(trap, heard, POSTFIX, HOME, settings)
    assert [e.accepted for e in stage.noted if isinstance(e, AuthTried)] == [True]
    assert [getattr(e, "user", "") for e in stage.recorded] == ["scan"]


def test_tls_can_be_demanded_first() -> None:
    """As Debian's submission service does (``smtpd_tls_security_level=encrypt``)."""
    heard = b"EHLO x\r\nMAIL FROM:<a@b.org>\r\nAUTH PLAIN AGEAYg==\r\nNOOP\r\n"
    settings = Settings(tls="required", auth="after TLS")
    stage = rehearse(trap, heard, POSTFIX, HOME, settings)
    assert stage.written.count(b"530 5.7.0 Must issue a STARTTLS command first\r\n") == 2
    assert stage.written.endswith(b"250 2.0.0 Ok\r\n")
