"""Postfix's splitting of a command into words: quotes and brackets hold together.

Source: smtpd_token.c of Postfix 3.7.11.
"""

from typing import Final

import msgspec

SPACES: Final = " \t\n\v\f\r"


class Token(msgspec.Struct, frozen=True, gc=False):
    """A word; ``broken`` if a quote or bracket in it was never closed."""

    text: str
    broken: bool = False


Tokens = list[Token]


def tokenize(text: str) -> Tokens:
    """Split a command (latin-1) into its words."""
    if not any(c in text for c in '<":\\'):
        return [Token(word) for word in _words(text)]
    tokens: Tokens = []
    at = 0
    while at < len(text):
        token, at = _next(text, at)
        if token is not None:
            tokens.append(token)
    return tokens


def _words(text: str) -> list[str]:
    for space in SPACES[1:]:
        text = text.replace(space, " ")
    return [word for word in text.split(" ") if word]


def _next(text: str, at: int) -> tuple[Token | None, int]:
    """Return the next word, or None, and where to go on."""
    start = at
    while start < len(text) and text[start] in SPACES:
        start += 1
    at, broken, end = start, False, len(text)
    while at < end and (char := text[at]) not in SPACES:
        at += 1
        if char in '<"':
            at, closed = _quoted(text, at, ">" if char == "<" else '"')
            broken |= not closed
        elif char == ":" and text[start:at].lower() in ("to:", "from:"):
            break
        elif char == "\\":
            at = min(at + 1, end)
    return (Token(text[start:at], broken) if at > start else None), at


def _quoted(text: str, at: int, closing: str) -> tuple[int, bool]:
    """Return where a quoted part ends, and whether it does at all."""
    stack = [closing]
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\":
            if at == len(text):
                break
            at += 1
        elif char == stack[-1]:
            stack.pop()
            if not stack:
                return at, True
        elif char == '"':
            stack.append('"')
        elif char == "<" and stack[-1] == ">":
            stack.append(">")
    return at, False
