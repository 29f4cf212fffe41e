"""ESMTP parameters of MAIL and RCPT as Sendmail takes them.

Must not be in here: replies (it names them), addresses.

Source: parse_esmtp_args(), mail_esmtp_args(), rcpt_esmtp_args(), Sendmail 8.17.1.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

ARGUMENT: Final = re.compile(
    r"[ \t\n\v\f\r]*([A-Za-z0-9-]*)(?:=([^ =\x00-\x1f\x7f]*))?(.?)", re.DOTALL
)
NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
XTEXT: Final = re.compile(r"(?:\+[0-9A-Fa-f]{2}|[!-*,-<>-~])*")
ATOM: Final = re.compile(r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+")
LONG_MAX: Final = 2**63 - 1
LATEST: Final = 999_999_999  # seconds of BY=
ONCE: Final = frozenset(("ENVID", "RET", "AUTH", "ORCPT", "BY"))
NOTIFY: Final = frozenset(("SUCCESS", "FAILURE", "DELAY"))


class Refusal(NamedTuple):
    """The name of a reply and what it quotes."""

    name: str
    word: str = ""
    value: str = ""


def of_mail(rest: str) -> tuple[Refusal | None, int]:
    """Judge the parameters of MAIL; the number is the size that was announced."""
    seen: set[str] = set()
    size = 0
    for word, value in arguments(rest):
        name = word.upper()
        if name not in ("SIZE", "BODY", "ENVID", "RET", "AUTH", "BY"):
            return Refusal("UNKNOWN_PARAMETER", word), 0
        if value is None:
            shown = f"{name}=" if name in ("AUTH", "BY") else name
            return Refusal("NEEDS_VALUE", shown), 0
        if name in ONCE and name in seen:
            return Refusal("DUPLICATE", name), 0
        seen.add(name)
        if name == "SIZE":
            size = _number(value)
        if trouble := _mail_value(name, value):
            return trouble, 0
    return None, size


def of_rcpt(rest: str) -> Refusal | None:
    """Judge the parameters of RCPT."""
    seen: set[str] = set()
    for word, value in arguments(rest):
        name = word.upper()
        if name not in ("NOTIFY", "ORCPT"):
            return Refusal("UNKNOWN_PARAMETER", word)
        if value is None:
            return Refusal("NEEDS_VALUE", name)
        if name == "NOTIFY" and value.upper() != "NEVER":
            for one in value.split(","):
                if one.upper() not in NOTIFY:
                    return Refusal("BAD_NOTIFY", name, one)
        if name == "ORCPT":
            kind, semicolon, text = value.partition(";")
            if name in seen:
                return Refusal("DUPLICATE", name)
            if not semicolon or not ATOM.fullmatch(kind) or not XTEXT.fullmatch(text):
                return Refusal("BAD_VALUE", name)
        seen.add(name)
    return None


def arguments(rest: str) -> Iterator[tuple[str, str | None]]:
    """Split ``WORD=value WORD``; whatever ends a word or value is dropped."""
    at = 0
    while rest[at:].strip(" \t\n\v\f\r"):
        found = ARGUMENT.match(rest, at)
        if found is None:
            return
        yield found[1], found[2]
        at = found.end()


def _number(value: str) -> int:
    found = NUMBER.match(value)
    return int(found[1][:40]) if found else 0


def _mail_value(name: str, value: str) -> Refusal | None:  # noqa: PLR0911 - one refusal a line
    match name:
        case "SIZE" if _number(value) >= LONG_MAX:
            return Refusal("SIZE_HUGE")
        case "SIZE" if _number(value) < 0:
            return Refusal("SIZE_INVALID")
        case "BODY" if value.upper() not in ("8BITMIME", "7BIT"):
            return Refusal("BAD_BODY", name, value)
        case "RET" if value.upper() not in ("HDRS", "FULL"):
            return Refusal("BAD_RET", name, value)
        case "ENVID" | "AUTH" if not XTEXT.fullmatch(value):
            return Refusal("BAD_VALUE", name)
        case "BY" if abs(_number(value)) > LATEST:
            return Refusal("BY_RANGE", name, value)
        case "BY" if ";" not in value:
            return Refusal("BY_SYNTAX")
    return None
