"""Exim's reading of an address: RFC 822 with its phrases, comments and source routes.

``parse`` finds the operative address in the argument of MAIL, RCPT or VRFY, or raises
:class:`Malformed` with what Exim says about it.  Text is latin-1, one character an octet.

Must not be in here: reply codes, policy.

Source: parse_extract_address() and below in parse.c of Exim 4.96 (Debian).
"""

import ipaddress
import re
from typing import Final, NamedTuple

SPECIALS: Final = frozenset(' ()<>@,;:\\".[]\x7f') | {chr(c) for c in range(32)}
BLANK: Final = frozenset(" \t\n\v\f\r")
ALNUM: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
LABEL: Final = ALNUM | {"-"}
LITERAL: Final = frozenset("0123456789ABCDEFabcdef.:")
LONGEST: Final = 256  # octets of an address
SHOWN: Final = 32  # octets of what "may not follow"
RIDICULOUS: Final = 64  # octets shown of an address that is too long
END: Final = "\0"
PUNCTUATED: Final = re.compile(r"[!-~]*")
QUOTES: Final = re.compile(r'\\(.)|"', re.DOTALL)


class Address(NamedTuple):
    """An address as Exim would use it; ``domain`` is "" where it has none."""

    text: str
    domain: str


class Malformed(Exception):  # noqa: N818 - the peer's fault, worded for the peer
    """No address; the text is what Exim says."""


def parse(text: str, *, null: bool, utf8: bool) -> Address:
    """Return the operative address.

    Args:
        text: what follows ``MAIL FROM:`` and the like, options gone, no NUL in it.
        null: allow ``<>``.
        utf8: allow octets above 127 in domains, as well-formed sequences.
    """
    return _Parser(text, utf8=utf8).mailbox(null=null)


def unquoted(text: str) -> str:
    """Return an address with the quotes and backslashes of its local part undone."""
    local, at, domain = text.rpartition("@")
    if not at or not local:
        local, at, domain = text, "", ""
    return QUOTES.sub(lambda found: found[1] or "", local) + at + domain


def valid_helo(name: str) -> bool:
    """Tell whether HELO may name a host so (helo_allow_chars is empty)."""
    if name[:1] != "[":
        return bool(name) and all(c in LABEL or c == "." for c in name)
    if name[-1:] != "]" or len(name) < 2:
        return False
    kind = name[1:6].upper()
    if kind in ("IPV6:", "IPV4:"):
        return _version(name[6:-1]) == int(kind[3])
    return _version(name[1:-1]) != 0


def _version(address: str) -> int:
    """Return 4 or 6, or 0 for no address; an interface may be named behind ``%``."""
    bare, percent, interface = address.partition("%")
    try:
        version = ipaddress.ip_address(bare).version
    except ValueError:
        return 0
    fine = not percent or (version == 6 and PUNCTUATED.fullmatch(interface))
    return version if fine else 0


class _Parser:
    """A place in the text and what was read there; the C pointers' little helper."""

    def __init__(self, text: str, *, utf8: bool) -> None:
        self.text, self.utf8 = text + END, utf8
        self.at = self.comment = 0  # where we are; where the last comment may begin

    @property
    def char(self) -> str:
        return self.text[self.at]

    def mailbox(self, *, null: bool) -> Address:
        self.skip()
        start = self.at
        local = self.local_part(null=True)
        if self.char not in "@<":
            if self.char in (END, ";"):
                if not local:
                    raise Malformed("empty address")
                return self.end(start, self.comment, Address(local, ""))
            self.phrase()
        if self.char == "<":
            return self.bracketed(null=null)
        if not local:
            self.route()
            address = self.spec(END)
            if not address.domain:
                raise Malformed("domain missing in source-routed address")
            return self.end(start, self.comment, address)
        self.at += 1
        domain = self.domain(literals=True)
        return self.end(start, self.comment, Address(f"{local}@{domain}", domain))

    def phrase(self) -> None:
        """Pass the words before ``<``."""
        try:
            while self.char != "<":
                self.local_part(null=False)
        except Malformed as why:
            raise Malformed(f'{why} (expected word or "<")') from None

    def bracketed(self, *, null: bool) -> Address:
        self.at += 1
        start = self.at
        self.skip()
        routed = self.char == "@"
        if routed:
            self.route()
        if null and not routed and self.char == ">":
            address = Address("", "")
        else:
            address = self.spec(">")
            if routed and not address.domain:
                raise Malformed("domain missing in source-routed address")
        end = self.at
        if self.char != ">":
            if self.char == END:
                raise Malformed("'>' missing at end of address")
            raise self.may_not_follow()
        self.at += 1
        self.skip()
        return self.end(start, end, address)

    def end(self, start: int, end: int, address: Address) -> Address:
        """Return the address if nothing follows it and it is not too long."""
        if self.char != END:
            raise self.may_not_follow()
        while end and self.text[end - 1] in BLANK:
            end -= 1
        if end - start > LONGEST:
            raise Malformed(f"address is ridiculously long: {address.text[:RIDICULOUS]}...")
        return address

    def may_not_follow(self) -> Malformed:
        rest = self.text[self.at : -1][:SHOWN]
        return Malformed(f"malformed address: {rest} may not follow {self.text[: self.at]}")

    def skip(self) -> None:
        """Pass blanks and comments."""
        self.comment = self.at
        while self.char != END:
            while self.char in BLANK:
                self.at += 1
            if self.char != "(":
                return
            level = 1
            while self.text[self.at + 1 : self.at + 2] not in ("", END):
                self.at += 1
                level += {"(": 1, ")": -1}.get(self.char, 0)
                if self.char == "\\" and self.text[self.at + 1] != END:
                    self.at += 1
                elif level <= 0:
                    break
            self.at += 1

    def local_part(self, *, null: bool) -> str:
        """Read words separated by dots, quoted or not."""
        read = ""
        while True:
            self.skip()
            word = self.quoted() if self.char == '"' else self.atom()
            read += word
            self.skip()
            if not word and self.char != ".":
                if not read and not null:
                    raise Malformed("missing or malformed local part")
                return read
            if self.char != ".":
                return read
            while self.char == ".":
                read += "."
                self.at += 1

    def quoted(self) -> str:
        start = self.at
        self.at += 1
        while self.char not in (END, '"'):
            escaped = self.char == "\\" and self.text[self.at + 1] != END
            self.at += 2 if escaped else 1
        if self.char == END:
            raise Malformed("unmatched doublequote in local part")
        self.at += 1
        return self.text[start : self.at]

    def atom(self) -> str:
        start = self.at
        while self.char not in SPECIALS or self.char == "\\":
            escaped = self.char == "\\" and self.text[self.at + 1] != END
            self.at += 2 if escaped else 1
        return self.text[start : self.at]

    def route(self) -> None:
        """Pass ``@a,@b:``; nobody follows such routes any more."""
        commas = False
        while self.char == "@":
            self.at += 1
            self.domain()
            if self.char != ",":
                break
            self.at += 1
            commas = True
            self.skip()
        if self.char != ":":
            raise Malformed("colon expected after route list" if commas else "no local part")
        self.at += 1
        self.skip()

    def spec(self, term: str) -> Address:
        """Read ``local@domain`` up to its terminator."""
        local = self.local_part(null=False)
        if self.char == term:
            return Address(local, "")
        if self.char != "@":
            raise Malformed(f'"@" or "." expected after "{local}"')
        self.at += 1
        domain = self.domain()
        return Address(f"{local}@{domain}", domain)

    def domain(self, *, literals: bool = False) -> str:
        """Read a domain; a literal is one only where no brackets are around the address."""
        self.skip()
        if self.char == "[":
            return self.literal(allowed=literals)
        read = ""
        while True:
            label = "" if self.char == "-" else self.label()
            self.skip()
            if not label:
                raise Malformed("domain missing or malformed")
            read += label
            if self.char != ".":
                return read
            read += "."
            self.at += 1
            self.skip()

    def literal(self, *, allowed: bool) -> str:
        start = self.at
        self.at += 1
        if self.text[self.at : self.at + 5].lower() in ("ipv6:", "ipv4:"):
            self.at += 5
        while (
            self.char in LITERAL
            if not allowed
            else "!" <= self.char <= "~" and (self.char not in "[\\]")
        ):
            self.at += 1
        closed = self.char == "]"
        self.at += closed
        if not allowed:
            raise Malformed("domain literals not allowed")
        if not closed:
            raise Malformed("malformed domain literal")
        literal = self.text[start : self.at]
        self.skip()
        return literal

    def label(self) -> str:
        start = self.at
        while True:
            if self.char in LABEL:
                self.at += 1
            elif self.utf8 and ord(self.char) >= 0xC0:
                self.sequence()
            else:
                return self.text[start : self.at]

    def sequence(self) -> None:
        """Pass a character of UTF-8, by its length byte only."""
        more = next((i for i in range(1, 6) if not ord(self.char) << (i + 1) & 0x80), 6)
        tail = self.text[self.at + 1 : self.at + 1 + more]
        if more == 6 or len(tail) < more or any(ord(c) & 0xC0 != 0x80 for c in tail):
            raise Malformed("invalid UTF-8 byte sequence")
        self.at += 1 + more
