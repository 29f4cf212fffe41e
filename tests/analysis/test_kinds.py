"""Kinds: returned mail, malware, relay tests, UCE and junk are told apart."""

from pathlib import Path

import pytest
from tests.analysis.mail import entry, offered, read

from trapline.analysis.messages import facts
from trapline.message import Facts, Sort

CORPORA = Path("/tmp/corpora-a")  # noqa: S108 - unpacked by whoever has them

REPORT = b"Content-Type: multipart/report; boundary=b"
MIXED = b"Content-Type: multipart/mixed; boundary=b\n"


def of(octets: bytes, **envelope: object) -> Facts:
    """Return the facts of a message from some sender to one recipient."""
    return read(entry(offered(octets, **envelope)), octets)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "octets",
    [
        REPORT + b"; report-type=delivery-status\n\n--b\n\nx\n",
        REPORT + b"; report-type=feedback-report\n\n--b\n\nx\n",
        MIXED + b"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: x\n--b--\n",
        b"Auto-Submitted: auto-replied\nSubject: x\n\nI am away\n",
        b"Auto-Submitted: auto-replied (vacation)\n\nx\n",
        b"X-Failed-Recipients: a@b.example\n\nx\n",
        b"Precedence: auto_reply\n\nx\n",
        b"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\nThis is qmail-send\n",
        b"From: postmaster@x.example\nSubject: Undeliverable: offer\n\ndid not reach\n",
        b"From: postmaster@x.example\nSubject: your offer\n\nDelivery has failed to these\n",
        b"From: Mail Delivery System <d@x.example>\nSubject: Mail delivery failed: back\n\nx\n",
        b"From: a@b.example\nSubject: Out of Office: your mail\n\nback on monday\n",
        b"From: a@b.example\nSubject: Automatische Antwort: Rechnung\n\nx\n",
        b"From: a@b.example\nSubject: =?utf-8?Q?R=C3=A9ponse_automatique?=\n\nx\n",
        b"From: a@b.example\nSubject: =?iso-2022-jp?B?GyRCSVQ6XxsoQg==?=\n\nx\n",
    ],
)
def test_returned_mail_is_recognised(octets: bytes) -> None:
    """By standard first, then by the forms of programs that follow none."""
    assert of(octets).sort is Sort.RETURNED


@pytest.mark.parametrize(
    "octets",
    [
        b"From: list@x.example\nPrecedence: bulk\nAuto-Submitted: no\nSubject: a\n\nnews\n",
        b"From: cron@x.example\nAuto-Submitted: auto-generated\nSubject: job\n\ndone\n",
        b"From: a@x.example\nSubject: Mail delivery system\n\nsee http://evil.example/\n",
        b"Return-Path: <>\nFrom: a@x.example\nSubject: You won\n\nhttp://evil.example/\n",
        b"From: a@x.example\nSubject: delivery of your parcel failed\n\nhttp://evil.example/\n",
        REPORT + b"\nFrom: a@x.example\nSubject: You won\n\nx\n",
    ],
)
def test_what_only_looks_returned_is_not(octets: bytes) -> None:
    """Planted fault: believing a stranger's ``Return-Path: <>`` excused 81 phishing mails."""
    assert of(octets).sort is not Sort.RETURNED


def test_a_null_sender_is_never_held_against_anybody() -> None:
    """Whatever the message says, and however many it was sent to."""
    many = [f"r{n}@x.example" for n in range(500)]
    assert (
        of(b"Subject: pills\n\nhttp://e.example\n", sender="", recipients=many).sort
        == "returned"
    )


def test_a_claim_is_not_believed_of_a_run() -> None:
    """Planted fault: without the limit, one header line excused any mass mailing."""
    octets = b"Auto-Submitted: auto-replied\nSubject: pills\n\nhttp://evil.example/\n"
    many = [f"r{n}@x.example" for n in range(50)]
    assert of(octets, recipients=many).sort is Sort.UCE


def test_a_worm_dressed_as_a_bounce_is_a_virus() -> None:
    """Words without a standard's mark do not excuse a program."""
    octets = (
        b"From: MAILER-DAEMON@x.example\nSubject: Mail delivery failed\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee attachment\n--b\n"
        b'Content-Type: application/octet-stream; name="message.scr"\n\nMZ\n--b--\n'
    )
    assert (of(octets).sort, of(octets).why) == (Sort.VIRUS, "message.scr: program")


def test_the_scanner_is_believed() -> None:
    """Its name for the malware is the reason."""
    event = offered(b"Subject: x\n\nhello\n")
    found = facts("e", event, b"Subject: x\n\nhello\n", "198.51.100.7", infected="Eicar-Test")
    assert (found.sort, found.why) == (Sort.VIRUS, "scanner: Eicar-Test")


@pytest.mark.parametrize(
    ("octets", "sort"),
    [
        (b"Subject: news\n\nsee http://evil.example/x\n", Sort.UCE),
        (b"Subject: cheap loans\n\nask us\n", Sort.UCE),
        (
            b"Subject: chain letter\n\nSend this to seven friends or seven years bad luck\n",
            Sort.BULK,
        ),
    ],
)
def test_what_lures_is_uce_and_the_rest_is_junk(octets: bytes, sort: Sort) -> None:
    """The talk's UCE and UJE."""
    assert of(octets).sort is sort


@pytest.mark.parametrize(
    ("folder", "least", "most"),
    [
        ("dev-open/sisimai_bounces/bsd", 0.98, 1.0),
        ("dev-spamassassin/clean/spamassassin/ham", 0.0, 0.0015),  # 5 are real bounces
        ("dev-spamassassin/clean/spamassassin/spam", 0.0, 0.001),  # 1 is
        ("dev-open/clean/glitchyzorua/spam", 0.0, 0.005),  # 1 is an auto-reply
    ],
)
def test_real_mail(folder: str, least: float, most: float) -> None:
    """With a sender that gives nothing away: content alone must tell."""
    files = sorted((CORPORA / folder).glob("*"))
    if not files:
        pytest.skip("no corpus here")
    files = files[:: max(1, len(files) // 1000)]
    found = sum(of(file.read_bytes()).sort is Sort.RETURNED for file in files)
    assert least <= found / len(files) <= max(most, 1.5 / len(files))
