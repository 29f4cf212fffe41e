"""MIME: any octets are taken apart, in time that grows with their length alone."""

import email
import email.message
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.analysis import mime

PIECES = st.sampled_from([
    b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Type: message/rfc822\n",
    b'Content-Type: text/html; charset="utf-8', b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\n",
    b"Content-Transfer-Encoding: x-uuencode\n",
    b"Content-Disposition: attachment; filename*0*=utf-7'de'a%2B; filename*1=b\n", b"--b\n",
    b"--b--\n", b"\n", b"\r\n\r\n", b"=?utf-8?B?", b"A===", b"begin 644 x\n", b": \n", b" x\n",
    b"\r", b"From x\n", b"\xff\x00",
])  # fmt: skip
SOUP = st.lists(PIECES | st.binary(max_size=12), max_size=40).map(b"".join)


@given(SOUP)
def test_any_octets_give_a_mail(octets: bytes) -> None:
    """Planted fault: base64 that lacks its end, taken without mercy, raised binascii.Error."""
    mail = mime.parse(octets)
    assert len(mail.parts) <= mime.PARTS
    assert all(isinstance(part.content(), bytes) for part in mail.parts)


def test_parts_are_those_of_the_standard_library() -> None:
    """Types, names and decoded contents agree on a well-formed message."""
    message = email.message_from_bytes(
        b'Subject: x\nContent-Type: multipart/mixed; boundary="o"\n\npreamble\n--o\n'
        b'Content-Type: multipart/alternative; boundary="oo"\n\n--oo\n\nplain\n--oo\n'
        b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+aGk8L2I+\n--oo--\n"
        b'--o\nContent-Type: application/zip; name="a.zip"\n'
        b"Content-Transfer-Encoding: quoted-printable\n\nPK=03=04\n--o--\nepilogue\n"
    )
    ours = mime.parse(message.as_bytes()).parts
    theirs = [part for part in message.walk() if not part.is_multipart()]
    assert [p.type for p in ours] == [p.get_content_type() for p in theirs]
    assert [p.content() for p in ours] == [p.get_payload(decode=True) for p in theirs]
    assert [p.name for p in ours] == [p.get_filename() or "" for p in theirs]


def test_an_outer_boundary_ends_an_inner_multipart() -> None:
    """A boundary that begins with another is not that other one."""
    mail = mime.parse(
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\n"
        b"Content-Type: multipart/mixed; boundary=ab\n\n--ab\n\none\n--a\n\ntwo\n--a--\n"
    )
    assert [part.body for part in mail.parts] == [b"one", b"two"]
    assert "not-closed" in mail.defects


@pytest.mark.parametrize(
    ("octets", "defect"),
    [
        (b"A: b\n" * 5000 + b"\nx", "headers-cut"),
        (b"A: " + b"x" * 20_000 + b"\n\nx", "field-cut"),
        (b"Subject: x\nno field at all\n\nx", "no-separator"),
        (b"Content-Type: multipart/mixed\n\nx", "no-boundary"),
        (b"Content-Type: multipart/mixed; boundary=b\n\nx", "boundary-missing"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx", "not-closed"),
        (
            b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 999,
            "too-many-parts",
        ),
        (b"Content-Type: message/rfc822\n\n" * 99, "too-deep"),
        (b"Content-Type: text\n\nx", "bad-type"),
        (b"Subject: x\r\rbody", "bare-cr"),
    ],
)
def test_defects_are_named(octets: bytes, defect: str) -> None:
    """What is cut or malformed is said, never passed over."""
    assert defect in mime.parse(octets).defects


def test_a_message_without_a_blank_line_keeps_its_body() -> None:
    """The first line that is no field begins the body."""
    mail = mime.parse(b"Subject: x\nhello there\nfriend\n")
    assert mail.headers.get("subject") == "x"
    assert mail.parts[0].body == b"hello there\nfriend\n"


@pytest.mark.parametrize(
    "unit",
    [
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", b"--b", b"--b\n", b"--b x\n",
        b"\n--b\n\n", b"A: b\n", b"A:\n b\n", b"\r\n", b"\r", b"-", b'; a="', b"=", b"A",
    ],
)  # fmt: skip
def test_time_grows_with_length_alone(unit: bytes) -> None:
    """Fault caught: boundaries searched anywhere in a line took 40 s for 4 MB of ``--b``."""
    head = b"Content-Type: multipart/mixed; boundary=b\n\n"
    began = time.process_time()
    for part in mime.parse(head + unit * (2**22 // len(unit))).parts:
        part.content()
    assert time.process_time() - began < 5.0


def decoded(part: "email.message.Message[str, str]") -> bytes:
    """Return what the standard library makes of a leaf."""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def test_real_messages_agree_with_the_standard_library() -> None:
    """On real mail, the same leaves with the same contents but for declared differences."""
    folder = Path("/tmp/corpora-a/dev-spamassassin")  # noqa: S108 - unpacked by whoever has it
    files = sorted(folder.rglob("*/ham/*"))[:400]
    if not files:
        pytest.skip("no corpus here")
    same = 0
    for file in files:
        octets = file.read_bytes()
        theirs = [
            (p.get_content_type(), decoded(p).strip())
            for p in email.message_from_bytes(octets).walk()
            if not p.is_multipart()
        ]
        same += theirs == [(p.type, p.content().strip()) for p in mime.parse(octets).parts]
    assert same >= 0.98 * len(files)
