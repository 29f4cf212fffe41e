"""Attachments: named by the digest of what they hold, and dangerous ones by name."""

import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.analysis import attachments, mime


def zipped(name: str) -> bytes:
    """Return an archive with one file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, "x")
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "kind", "content", "why"),
    [
        ("invoice.pdf.exe", "application/pdf", b"x", "program"),
        ("x.SCR ", "application/octet-stream", b"x", "program"),
        ("photo\u202egpj.exe", "image/jpeg", b"x", "program"),
        ("a.js", "text/plain", b"x", "script"),
        ("a.lnk", "application/octet-stream", b"x", "shortcut"),
        ("a.iso", "application/octet-stream", b"x", "disk image"),
        ("a.docm", "application/msword", b"x", "office file with macros"),
        ("a.pdf", "application/pdf", b"MZ" + bytes(100), "Windows program"),
        ("a.zip", "application/zip", zipped("b.js"), "archive holding a script"),
        ("a.docx", "application/zip", zipped("word/vbaProject.bin"), "office file with macros"),
        (
            "a.html",
            "text/html",
            b"<SCRIPT>new Blob([atob('x')])</script>",
            "page that unpacks a file (HTML smuggling)",
        ),
        ("a.html", "text/html", b"<p>hello</p>", ""),
        ("a.zip", "application/zip", zipped("b.txt"), ""),
        ("a.pdf", "application/pdf", b"%PDF", ""),
        ("exe", "application/pdf", b"x", ""),
    ],
)
def test_danger_is_named(name: str, kind: str, content: bytes, why: str) -> None:
    """By name as Windows reads it, by type, by first octets, by an archive's list."""
    assert attachments.danger(name, kind, content) == why


@given(
    st.text(max_size=20), st.sampled_from([b"PK\x03\x04", b"MZ", b""]), st.binary(max_size=80)
)
def test_any_content_is_judged(name: str, magic: bytes, content: bytes) -> None:
    """Truncated archives and odd names are no trouble."""
    assert isinstance(attachments.danger(name, "application/zip", magic + content), str)


def test_an_attachment_is_named_by_what_it_holds() -> None:
    """The digest is of the decoded octets, so that re-encoding does not hide a copy."""
    head = b"Content-Type: application/x; name*=utf-8''b%C3%BCcher\nContent-Transfer-Encoding: "
    plain = mime.parse(head + b"8bit\n\nhello").parts
    coded = mime.parse(head + b"base64\n\naGVsbG8=").parts
    (first,), (second,) = (list(attachments.of(iter(p))) for p in (plain, coded))
    assert first == second
    assert first.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert (first.name, first.size) == ("bücher", 5)
