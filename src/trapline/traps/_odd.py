"""Oddities: what no mail server says, named as in ``events.OddHeard``.

Must not be in here: what a server answers to it (that is the dialect's).
"""

import re
from collections.abc import Iterator
from typing import Final

import stringzilla

VERBS: Final = frozenset(
    b"AUTH BDAT DATA EHLO ETRN EXPN HELO HELP MAIL NOOP QUIT RCPT RSET STARTTLS VRFY".split()
)
OPENINGS: Final = frozenset((b"EHLO ", b"HELO "))  # how nearly all sessions begin
HTTP: Final = frozenset(b"CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split())
TLS_HELLO: Final = (b"\x16\x03", b"\x80")  # a TLS record; an SSL 2 hello

ordinary: Final = re.compile(rb"[^\0\r\n\x80-\xff]*\r\n").fullmatch  # nothing odd in the line


def odd_line(line: bytes, *, first: bool) -> Iterator[str]:
    """Name what is odd about a command line."""
    if line[-2:] != b"\r\n":
        yield "bare-lf" if line[-1:] == b"\n" else "long-line"
    if b"\r" in line[:-2]:
        yield "bare-cr"
    if b"\0" in line:
        yield "nul"
    if not line.isascii():
        yield "eight-bit"
    if first:
        yield odd_first(line)


def odd_first(line: bytes) -> str:
    """Name what is odd about the first line of a session, or return ""."""
    if line.startswith(TLS_HELLO):
        return "tls-hello"
    verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
    if verb in HTTP:
        return "http"
    return "" if verb in VERBS else "junk"


def odd_message(octets: bytes | bytearray) -> bool:
    """Tell whether a message holds what some servers take for its end (CVE-2023-51764)."""
    if stringzilla.find(octets, b"\n.\n") >= 0:
        return True
    at = stringzilla.find(octets, b"\n.\r\n")
    return at >= 0 and octets[at - 1 : at] != b"\r"


def odd_rest(octets: bytes) -> str:
    """Name what is odd about octets left unread when the session ended."""
    return "tls-hello" if octets.startswith(TLS_HELLO) else ""
