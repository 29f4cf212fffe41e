"""Postfix's own reading of addresses: RFC 822 tokens, operators ``@ % !``, junk around them.

``extract`` finds the address that a MAIL, RCPT or VRFY argument means; ``resolve`` strips
local domains, source routes, ``user%domain`` and ``domain!user`` until it knows where mail
for it would go, as trivial-rewrite does.

Text is latin-1: one character an octet.  Must not be in here: replies, policy.

Source: tok822_parse(3), quote_822_local(3), resolve.c and rewrite.c of Postfix 3.7.11.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from trapline.dialects._hostnames import valid_domain

ATOM, QUOTED, LITERAL, COMMENT = "atom", "quoted", "literal", "comment"
WORDS: Final = (ATOM, QUOTED, LITERAL)
TEXTS: Final = (*WORDS, COMMENT)
OPERATORS: Final = frozenset('|%!()<>@,;:\\".[]')
BLANKS: Final = " \t\r\n"
ENDS: Final = frozenset(">;,:")  # where what stands before <route> ends
PLAIN: Final = re.compile(r"[^|%!()<>@,;:\\\".\[\] \t\r\n\x00-\x1f\x7f]+")

Token = tuple[str, str]  # kind (one of the words above, or the operator itself), text


def extract(argument: str) -> str | None:
    """Return the address in internal (unquoted) form, or None: more than one is in it."""
    if argument[:1] == "<" and argument[-1:] == ">":
        argument = argument[1:-1]
    if argument[:1] == "@" and ":" in argument:
        argument = argument.partition(":")[2]
    groups = parse(scan(argument))
    if len(groups) > 1:
        return None
    return internal(groups[0]) if groups else ""


def internal(tokens: Sequence[Token]) -> str:
    """Join the tokens of an address without quotes."""
    return "".join(f"[{text}]" if kind == LITERAL else text for kind, text in tokens)


def spaced(tokens: Sequence[Token]) -> str:
    """Join tokens that are no address yet: neighbouring words keep their distance."""
    words = [f" [{text}]" if kind == LITERAL else f" {text}" for kind, text in tokens]
    kinds = ["", *(kind for kind, _ in tokens)]
    pairs = zip(kinds, tokens, words, strict=False)
    return "".join(w if a in TEXTS and t[0] in TEXTS else w[1:] for a, t, w in pairs)


def scan(text: str) -> list[Token]:
    """Split text into tokens, from left to right."""
    tokens: list[Token] = []
    at, end = 0, len(text)
    while at < end:
        char = text[at]
        if char in BLANKS:
            at += 1
        elif char == "(":
            end_of_comment = _comment(text, at + 1)
            tokens.append((COMMENT, text[at:end_of_comment]))
            at = end_of_comment
        elif char in '["':
            close, kind = ("]", LITERAL) if char == "[" else ('"', QUOTED)
            word, at = _collect(text, at + 1, close.__eq__)
            tokens.append((kind, word))
            at += 1
        elif char != "\\" and char in OPERATORS:
            tokens.append((char, char))
            at += 1
        else:
            word, at = _collect(text, at, lambda c: c in OPERATORS or c in BLANKS)
            tokens.append((ATOM if PLAIN.fullmatch(word) else QUOTED, word))
    return tokens


def _collect(text: str, at: int, ends: Callable[[str], bool]) -> tuple[str, int]:
    """Take characters up to one that ends the word; a backslash takes the next as it is."""
    word: list[str] = []
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
            if at == len(text):
                break
            char = text[at]
        elif ends(char):
            break
        word.append(" " if char in BLANKS else char)
        at += 1
    return "".join(word), at


def _comment(text: str, at: int) -> int:
    """Return where a comment ends that began just before; comments nest."""
    level = 1
    while at < len(text) and level:
        level += {"(": 1, ")": -1}.get(text[at], 0)
        at += 2 if text[at] == "\\" else 1
    return at


def parse(tokens: list[Token]) -> list[list[Token]]:  # noqa: C901 - one scan, as there
    """Find the addresses among the tokens, from right to left as Postfix does."""
    tokens = [("", ""), *tokens]
    groups: list[list[Token]] = []

    def group(left: int, right: int) -> None:
        if found := [t for t in tokens[left + 1 : right] if t[0] != COMMENT]:
            groups.append(found)

    word_is_fine, in_group = True, False
    at, right = len(tokens) - 1, len(tokens)
    while at > 0:
        kind = tokens[at][0]
        if kind == COMMENT:
            pass
        elif kind == ";":
            group(at, right)
            right, word_is_fine, in_group = at, True, True
        elif kind == ":" and in_group:
            group(at, right)
            while at > 0 and tokens[at][0] != ",":
                at -= 1
            right = at
            continue
        elif kind == ">":
            group(at, right)
            right = at
            while at > 0 and tokens[at][0] != "<":
                at -= 1
            group(at, right)
            while at > 0 and tokens[at][0] not in ENDS:
                at -= 1
            right, word_is_fine = at, True
            continue
        elif kind in WORDS:
            if not word_is_fine:
                group(at, right)
                right = at + 1
            word_is_fine = False
        else:
            if kind == ",":
                group(at, right)
                right = at
            word_is_fine = True
        at -= 1
    group(0, right)
    return groups


def quote(address: str) -> str:
    """Return an internal address in its external form, the local part quoted if need be."""
    route = ""
    if address[:1] == "@" and ":" in address:
        head, colon, address = address.partition(":")
        route = head + colon
    at = address.rfind("@")
    local, domain = (address, "") if at < 0 else (address[:at], address[at:])
    if _is_dot_string(local):
        return route + address
    escaped = re.sub(r'(["\\\r])', r"\\\1", local)
    return f'{route}"{escaped}"{domain}'


def _is_dot_string(local: str) -> bool:
    if not local or local[0] == "." or local[-1] == "." or ".." in local:
        return False
    return not re.search(r'[ \x00-\x1f\x7f()<>@,;:\\"\[\]]', local)


def resolve(address: str, host: str, is_local: Callable[[str], bool]) -> str | None:
    """Return where mail for an internal address ends up, or None: it is no address.

    Args:
        address: as ``extract`` gave it.
        host: the server's own name, which is appended where no domain is given.
        is_local: tells the server's own domains (``[literals]`` too).
    """
    tokens = _rewrite(scan(quote(address)), host)
    saved: list[Token] = []
    domain: list[Token] = []
    for _ in range(len(address) + 100):
        if _ends_in_a_dot(tokens) and _rfind(tokens, "@") >= 0:
            tokens = tokens[:-1]
        domain = []
        if (at := _rfind(tokens, "@")) >= 0:
            if tokens[at + 1 :] and not is_local(spaced(tokens[at + 1 :])):
                domain = tokens[at:]
                break
            tokens, saved = tokens[:at], tokens[at:]
        if any(kind in "@!%" for kind, _ in tokens if len(kind) == 1):
            tokens = _rewrite(tokens, host)
        elif len(tokens) == 1 and tokens[0][0] == QUOTED and re.search("[@%!]", tokens[0][1]):
            tokens = _rewrite(_crack(tokens[0][1]), host)
        elif not tokens or tokens == [(QUOTED, "")]:
            tokens = [(ATOM, "MAILER-DAEMON")]
        elif not saved:
            tokens = [*tokens, ("@", "@"), *scan(host)]
        else:
            break
    else:
        return None
    final = spaced(tokens if domain else [*tokens, *saved])
    sound = valid_domain(final.rpartition("@")[2]) and final[0] != "-"  # allow_min_user
    return final if sound else None


def _rfind(tokens: Sequence[Token], kind: str) -> int:
    """Return the place of the last token of a kind, or -1."""
    return next((at for at in range(len(tokens) - 1, -1, -1) if tokens[at][0] == kind), -1)


def _crack(local: str) -> list[Token]:
    """Open a quoted local part that has routing operators in it."""
    for operator in "@%!":
        if (at := local.rfind(operator)) >= 0:
            if operator == "!":
                return scan(local)
            return scan(quote(local[:at] + "@" + local[at + 1 :]))
    return scan(local)


def _rewrite(tokens: list[Token], host: str) -> list[Token]:
    """Bring an address into canonical form: no route, ``user@domain``."""
    if not tokens or tokens == [(QUOTED, "")]:
        return tokens
    kinds = [kind for kind, _ in tokens]
    if kinds == ["@"]:
        return [(QUOTED, "")]
    if kinds[0] == "@" and ":" in kinds[:-1]:
        tokens = tokens[kinds.index(":") + 1 :]
        kinds = [kind for kind, _ in tokens]
    if "@" not in kinds:
        if "!" in kinds:
            bang = kinds.index("!")
            tokens = [*tokens[bang + 1 :], ("@", "@"), *tokens[:bang]]
        elif "%" in kinds:
            last = _rfind(tokens, "%")
            tokens = [*tokens[:last], ("@", "@"), *tokens[last + 1 :]]
        else:
            tokens = [*tokens, ("@", "@"), *scan(host)]
    return tokens[:-1] if _ends_in_a_dot(tokens) else tokens


def _ends_in_a_dot(tokens: Sequence[Token]) -> bool:
    """Tell whether a dot ends a domain that is otherwise sound."""
    return len(tokens) > 1 and tokens[-1][0] == "." and tokens[-2][0] not in (".", "@")
