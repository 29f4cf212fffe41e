"""Sendmail's reading of an address, as far as its answers show it.

Sendmail rewrites addresses by rules; this file knows what comes out, not the rules: which
brackets are unbalanced, where a host or a user is missing, and when two addresses are one.

Text is latin-1, one character an octet.  Must not be in here: reply codes.

Source: prescan() in parseaddr.c of Sendmail 8.17.1, the stock rule sets S3 and S0, and the
running server (Debian 12).
"""

import re
from typing import Final, NamedTuple

LONGEST: Final = 255
BLANKS: Final = " \t\n\v\f\r"
COMMENT: Final = re.compile(r"\((?:[^()\\]|\\.)*\)")
QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
HIDDEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=\\).', re.DOTALL)
ROUTE: Final = re.compile(r"@[^:]*:")


class Trouble(Exception):  # noqa: N818 - the peer's fault
    """Why this is no address: the name of a reply."""


class Parts(NamedTuple):
    """An address argument and the parameters behind it."""

    text: str
    rest: str


def split(argument: str) -> Parts:
    """Cut off what follows the address: a blank outside quotes and brackets ends it.

    Raises:
        Trouble: a quote or a bracket has no partner.
    """
    angles = parens = 0
    quoted = False
    at = 0
    while at < len(argument):
        char = argument[at]
        if char == "\\":
            at += 1
        elif char == '"' and not parens:
            quoted = not quoted
        elif not quoted:
            if char in BLANKS and not angles and not parens:
                break
            parens += {"(": 1, ")": -1}.get(char, 0)
            if not parens:
                angles += {"<": 1, ">": -1}.get(char, 0)
            if parens < 0 or angles < 0:
                raise Trouble("UNBALANCED_PAREN_END" if parens < 0 else "UNBALANCED_END")
        at += 1
    if quoted or parens or angles:
        what = "QUOTE" if quoted else "PAREN" if parens else "START"
        raise Trouble(f"UNBALANCED_{what}")
    return Parts(argument[:at], argument[at:])


def bare(text: str) -> str:
    """Return the address within brackets, comments, blanks and routes."""
    if "(" in text:
        text = COMMENT.sub("", text)
    start = text.rfind("<")
    end = text.find(">", start)
    inner = text[start + 1 : end] if 0 <= start < end else text
    return re.sub(r"[ \t]+", "", inner) if '"' not in inner else inner.strip()


def recipient(text: str, host: str) -> str:
    """Return where mail for an address goes, as ``user@domain``.

    Raises:
        Trouble: it goes nowhere, and why.
    """
    address = bare(text)
    if not address or address == '""':
        raise Trouble("NO_USER" if not address else "NO_USER_IN_ADDRESS")
    return _canonical(_checked(address), host)


def sender(text: str) -> str:
    """Return a sender, "" for the null one; it must have a domain.

    Raises:
        Trouble: it is none, and why.
    """
    address = bare(text)
    if not address:
        return ""
    return _checked(address)


def qualified(address: str) -> bool:
    """Tell whether a sender has a domain, or is the null one."""
    return not address or any(operator in HIDDEN.sub("", address) for operator in "@%!")


def unescaped(address: str) -> str:
    """Return an address without its backslashes."""
    return re.sub(r"\\(.)", r"\1", address)


def _checked(address: str) -> str:
    if address == "@":
        raise Trouble("LIST_SYNTAX")
    if address[0] == "@":
        if ":" not in address and "," not in address:
            raise Trouble("NO_USER_IN_ADDRESS")
        if address.startswith("@:"):
            raise Trouble("BAD_ROUTE")
        address = ROUTE.sub("", address, count=1).replace(",", "", 1)
    plain = QUOTED.sub("", re.sub(r"\\.", "", address))
    domain = plain.rpartition("@")[2] if "@" in plain else ""
    if domain.startswith(".") or ".." in domain:
        raise Trouble("BAD_HOST")
    if ":" in domain and domain[0] != "[":
        raise Trouble("COLON_IN_HOST")
    if plain.count("@") > 1 and plain[0] != "@":
        raise Trouble("BAD_ROUTE")
    if "," in plain:
        raise Trouble("BAD_ROUTE")
    if plain.endswith("@"):
        raise Trouble("NO_HOST")
    return address


def _canonical(address: str, host: str) -> str:
    """Take our own name off the end, and look what stands before it."""
    plain = HIDDEN.sub(lambda found: "x" * len(found[0]), address)
    at = plain.rfind("@")
    user, domain = (address[:at], address[at + 1 :]) if at >= 0 else (address, "")
    if at < 0 and "\\" in plain:
        raise Trouble("UNKNOWN_USER")
    domain = domain.removesuffix(".").lower()
    if domain in ("", host.lower()):
        if len(user) > 1 and user[0] == user[-1] == '"':
            user = user[1:-1]
        for operator in "@%":
            if operator in user:
                head, _, tail = user.rpartition(operator)
                return _canonical(f"{head}@{tail}", host)
        if "!" in user:
            head, _, tail = user.partition("!")
            return _canonical(f"{tail}@{head}", host)
        return f"{user.lower()}@{host.lower()}"
    if domain.startswith(".") or ".." in domain:
        raise Trouble("BAD_HOST")
    return f"{user}@{domain}"
