"""How far Exim has read a message: in its headers, between two of them, or in its body.

BDAT lets commands come in the middle of a message, and Exim 4.96 answers them by where its
reader stands; the total that it names at the end counts line ends as it stored them.

Must not be in here: replies.

Source: receive_msg() and read_message_bdat_smtp() in receive.c of Exim 4.96 (Debian).
"""

import enum
import re
from typing import Final

import msgspec

Octets = bytes | bytearray

HEADER: Final = re.compile(rb"[^\x00-\x20\x7f:]*[ \t\n\v\f\r]*:")
BLANK: Final = b" \t\n\v\f\r"
LINE_END: Final = re.compile(rb"\r\n|\r|\n")
EMPTY_LINES: Final = re.compile(rb"(?:\n[ \t]*)*\n\Z")
BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class Place(enum.Enum):
    """Where the reader waits for the next octet."""

    LINE = "within a line of the headers"
    BETWEEN = "behind a line of the headers, to see whether it goes on"
    NO_HEADER = "the same, and the line will turn out to be the first of the body"
    NOT_CRLF = "the same, and the line will be refused, for it ends with a bare LF"
    BODY = "in the body"
    REFUSED = "nowhere: it was refused"


class Read(msgspec.Struct, frozen=True):
    """What the reader made of the octets so far."""

    place: Place
    headers: int = 0  # octets of the header section, as stored
    total: int = 0  # what Exim names at the end of the message, if it ends here


def read(octets: Octets) -> Read:
    """Read a message that comes by BDAT, as far as it came."""
    return _Reader(octets).headers()


class _Reader:
    """Counts what is stored: line ends as one octet, odd ones as more."""

    def __init__(self, octets: Octets) -> None:
        self.octets, self.at = octets, 0
        self.line = bytearray()  # of the header at hand, with its continuations
        self.stored = self.lines = 0
        self.crlf: bool | None = None  # whether the first line ended with CR LF

    def headers(self) -> Read:
        """Read lines until one is no header, or the octets are at an end."""
        while (folded := self._to_line_end()) is not None:
            if len(self.line) == 1:
                return self._body(extra=int(folded))  # the blank put back begins the body
            if folded:
                self._store(b" ")
                continue
            if self.at == len(self.octets):
                return self._end()
            if self.octets[self.at] in b" \t":
                self._store(self.octets[self.at : self.at + 1])
                self.at += 1
                continue
            if not _is_header(self.line):
                return self._body(extra=1)
            if self._refused():
                return Read(Place.REFUSED)
            self.line.clear()
        self._end_line()
        read_so_far = self._end() if len(self.line) > 1 else self._stored(Place.LINE, 0)
        return msgspec.structs.replace(read_so_far, place=Place.LINE)

    def _to_line_end(self) -> bool | None:
        """Read to the end of a line; True: a blank goes behind it; None: it has no end."""
        while found := LINE_END.search(self.octets, self.at):
            self._store(self.octets[self.at : found.start()])
            self.at = found.end()
            if found[0] == b"\r":
                self._store(b"\n ")  # a bare CR becomes a folded line
                continue
            folded = found[0] == b"\n" and self.crlf is True
            if self.crlf is None:
                self.crlf = found[0] == b"\r\n"
            self._end_line()
            return folded
        self._store(self.octets[self.at :])
        return None

    def _end_line(self) -> None:
        self._store(b"\n")
        self.lines += 1

    def _store(self, octets: Octets) -> None:
        self.line += octets
        self.stored += len(octets)

    def _refused(self) -> bool:
        """Take a header; only the first line is looked at for its end."""
        self.stored -= len(self.line) - len(EMPTY_LINES.sub(b"\n", self.line))
        return self.crlf is False

    def _end(self) -> Read:
        """Say what became of the message if it ends behind the line at hand."""
        if not _is_header(self.line):
            return self._stored(Place.NO_HEADER, 1)
        return Read(Place.NOT_CRLF) if self._refused() else self._stored(Place.BETWEEN, 0)

    def _stored(self, place: Place, extra: int) -> Read:
        return Read(place, self.stored, self.stored + self.lines + extra)

    def _body(self, *, extra: int) -> Read:
        rest = self.octets[self.at :]
        total = self.stored + self.lines + extra + len(rest) + len(BARE.findall(rest))
        if rest.endswith(b"\r\r"):
            total -= 2  # the last of them is lost
        elif rest and rest[-1] not in b"\r\n":
            total += 2  # a last line without end gets one
        return Read(Place.BODY, self.stored, total)


def _is_header(line: Octets) -> bool:
    return line[0] not in BLANK and HEADER.match(line) is not None
