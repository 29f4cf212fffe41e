"""ESMTP parameters as Exim picks them off the end of MAIL and RCPT.

It cuts from the right, and what it cannot take it puts back before it reads the address,
not always as it was: that is why ``<a@b> junk`` is answered with ``<a@b>=junk``.

Must not be in here: replies, addresses.

Source: extract_option() and the MAIL and RCPT commands in smtp_in.c of Exim 4.96 (Debian).
"""

import re
from typing import Final

import msgspec

BLANKS: Final = " \t\n\v\f\r"
NEED_VALUE: Final = frozenset(("SIZE", "BODY", "AUTH", "RET", "ENVID"))
ALONE: Final = frozenset(("PRDR", "SMTPUTF8"))
LARGEST: Final = 2**31 - 1  # what Exim holds a size in
NUMBER: Final = re.compile(r"([+-]?)([0-9]+)")
XTEXT: Final = re.compile(r"(?:\+[0-9A-Fa-f]{2}|[!-*,-<>-\x7f])*")
LETTERS: Final = re.compile(r"[A-Za-z]*\Z")


class Option(msgspec.Struct, frozen=True):
    """A parameter and what stands before it; ``value`` is ``name`` where it has none."""

    name: str
    value: str
    before: str
    bare: bool  # no equals sign

    def as_sent(self) -> str:
        """Return it as the peer sent it."""
        return self.name if self.bare else f"{self.name}={self.value}"


class Mail(msgspec.Struct):
    """What the parameters of MAIL said; ``trouble`` names a refusal."""

    rest: str  # the address, and what could not be taken
    size: int = 0
    utf8: bool = False
    taken: list[str] = msgspec.field(default_factory=list)
    trouble: str = ""


def last_option(text: str) -> Option | str:
    """Return the last parameter, or the text without blanks at its end: there is none."""
    text = text.rstrip(BLANKS) if len(text) > 1 else text
    at = len(text) - 1
    while at > 0 and text[at] != "=" and text[at] not in BLANKS:
        if text[at] == '"':
            at = text.rfind('"', 0, at)
            if at <= 0:
                return text
        at -= 1
    if at <= 0:
        return text
    if text[at] != "=":
        word = text[at + 1 :]
        return Option(word, word, text[:at], bare=True)
    start = at - len(LETTERS.search(text[:at])[0])  # type: ignore[index]
    if start <= 0 or text[start - 1] not in BLANKS:
        return text
    return Option(text[start:at], text[at + 1 :], text[: start - 1], bare=False)


def of_mail(text: str, *, utf8: bool) -> Mail:
    """Take the parameters of MAIL; ``utf8`` tells whether SMTPUTF8 was advertised."""
    mail = Mail(text)
    while True:
        option = last_option(mail.rest)
        if isinstance(option, str):
            mail.rest = option
            return mail
        name = option.name.upper()
        if name not in NEED_VALUE and name not in ALONE:
            mail.rest = f"{option.before} {option.as_sent()}"
            return mail
        mail.rest = option.before
        if name in NEED_VALUE and not option.value:
            return mail
        mail.taken.append(option.as_sent())
        if not _take(mail, name, option.value, utf8=utf8):
            return mail


def of_rcpt(text: str) -> str:
    """Return the argument of RCPT as Exim puts it back: without DSN it knows no parameter."""
    option = last_option(text)
    if isinstance(option, str):
        return option
    return (
        f"{option.before}={option.name}"
        if option.bare
        else (f"{option.before} {option.as_sent()}")
    )


def _take(mail: Mail, name: str, value: str, *, utf8: bool) -> bool:
    """Take one parameter; False: look at no more."""
    match name:
        case "SIZE":
            size = _size(value)
            mail.size = mail.size if size is None else size
            return size is not None
        case "BODY" if value.upper() not in ("8BITMIME", "7BIT"):
            mail.trouble = "BAD_BODY"
        case "AUTH" if value != "<>" and not XTEXT.fullmatch(value):
            mail.trouble = "BAD_AUTH"
        case "SMTPUTF8":
            mail.utf8 = utf8
            mail.trouble = "" if utf8 else "UTF8_NOT_ADVERTISED"
    return not mail.trouble


def _size(value: str) -> int | None:
    """Read a number as strtoul() does; None: it is none."""
    if not (found := NUMBER.fullmatch(value)):
        return None
    size = int(found[2][:40])
    return min(LARGEST, size) if found[1] != "-" or not size else LARGEST
