"""Parameters of MAIL and RCPT as Postfix checks them (RFC 1870, 3461, 4954, 6152, 6531).

Each function returns None, or the name of the refusal and the parameter it is about.

Source: mail_cmd() and rcpt_cmd() of Postfix 3.7.11; xtext.c, dsn_mask.c.
"""

import re
from collections.abc import Sequence
from typing import Final

from trapline.smtpwords import Dialogue

HUGE: Final = 2**63 - 1  # what fits into an off_t
DIGITS: Final = 32  # of a number that is worth reading
NOTIFY: Final = {"NEVER": 1, "SUCCESS": 2, "FAILURE": 4, "DELAY": 8}
HEX: Final = re.compile(r"[0-9A-Fa-f]*")
BAD_XTEXT: Final = re.compile(r"\+(?![0-9A-Fa-f]{2})")

Trouble = tuple[str, str]


def of_mail(options: Sequence[str], talk: Dialogue) -> Trouble | None:
    """Check the parameters of MAIL; SIZE and AUTH outlive a refusal, as in Postfix."""
    seen: set[str] = set()
    for option in options:
        name, _, value = option.partition("=")
        name, plain = name.upper(), option.upper()
        if plain in ("BODY=8BITMIME", "BODY=7BIT", "SMTPUTF8"):
            continue
        if "=" not in option or name not in ("SIZE", "AUTH", "RET", "ENVID"):
            return "UNKNOWN_PARAMETER", option
        if trouble := _check(name, value, seen, talk):
            return trouble, option
    return None


def _check(name: str, value: str, seen: set[str], talk: Dialogue) -> str:
    """Check one parameter of MAIL; return the name of the refusal, or ""."""
    twice = name in seen
    seen.add(name)
    if name == "SIZE":
        return _size(value, talk)
    if name == "AUTH":
        if "auth" in talk.scratch:
            return "AUTH_TWICE_PARAMETER"
        if value != "<>":
            talk.scratch["auth"] = value
        return ""
    if name == "RET":
        fine = value.upper() in ("FULL", "HDRS")
    else:
        fine = xtext(value) and _printable_xtext(value)
    return "" if fine and not twice else f"BAD_{name}"


def _size(value: str, talk: Dialogue) -> str:
    if not (value.isascii() and value.isdigit()):
        return "BAD_SIZE"
    if len(value) > DIGITS or int(value) > HUGE:
        talk.scratch.pop("size", None)
        return "SIZE_HUGE"
    talk.scratch["size"] = int(value)
    return ""


def of_rcpt(options: Sequence[str]) -> Trouble | None:
    """Check the parameters of RCPT."""
    seen: set[str] = set()
    for option in options:
        name, equals, value = option.partition("=")
        name = name.upper()
        if not equals or name not in ("NOTIFY", "ORCPT"):
            return "UNKNOWN_PARAMETER", option
        if name in seen or not (_notify(value) if name == "NOTIFY" else _orcpt(value)):
            return f"BAD_{name}", option
        seen.add(name)
    return None


def _notify(value: str) -> bool:
    mask = 0
    for word in re.split(r"[ \t\r\n,]+", value.strip(" \t\r\n,")):
        if word.upper() not in NOTIFY:
            return False
        mask |= NOTIFY[word.upper()]
    return mask == NOTIFY["NEVER"] or not mask & NOTIFY["NEVER"]


def _orcpt(value: str) -> bool:
    kind, semicolon, address = value.partition(";")
    if not kind or not semicolon:
        return False
    return (uxtext if kind.upper() == "UTF-8" else xtext)(address)


def xtext(text: str) -> bool:
    """Tell whether this is xtext (RFC 3461 section 4): two hex digits after each plus."""
    return not BAD_XTEXT.search(text)


def uxtext(text: str) -> bool:
    r"""Tell whether this is unitext (RFC 6533 section 3): only ``\x{...}`` is special."""
    parts = text.split("\\x{")[1:]
    points = [part.partition("}") for part in parts]
    return all(brace and _code_point(digits) for digits, brace, _ in points)


def _code_point(digits: str) -> bool:
    return bool(HEX.fullmatch(digits)) and (not digits or int(digits, 16) <= 0x10FFFF)


def _printable_xtext(text: str) -> bool:
    plain = re.sub(r"\+(..)", lambda m: chr(int(m[1], 16)), text)
    return bool(plain) and all(" " <= c <= "~" for c in plain)
