"""Header text decoded, and the Received chain read; unknown charsets degrade, never raise.

Must not be in here: the structure of messages (``mime``), what a header speaks for.
"""

import binascii
import codecs
import functools
import ipaddress
import quopri
import re
from collections.abc import Iterable, Sequence
from typing import Final

from trapline.addresses import Network

CHAIN: Final = 64  # Received fields that are read; servers refuse mail long before
_WORD: Final = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_GAP: Final = re.compile(r"(\?=)\s+(?==\?[^?\s]{1,80}\?[bBqQ]\?)")
# What Python takes for charsets and no mail is written in; some are slow on long input.
_REFUSED: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
)
# Supersets, as browsers read these names (WHATWG Encoding Standard, "Names and labels").
_READ_AS: Final = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030",
    "iso8859-9": "cp1254", "euc_kr": "cp949", "shift_jis": "cp932",
}  # fmt: skip

_REPLY: Final = re.compile(r"^(?:\s*(?:re|aw|sv|vs|fwd?|wg|tr|rv)\s*(?:\[\d+\])?:\s*)+")
_KEY: Final = 4  # letters of a subject that says anything at all

_ADDRESS: Final = r"(?:IPv6:)?([0-9A-Fa-f:]*:[0-9A-Fa-f:.]+|\d{1,3}(?:\.\d{1,3}){3})"
_BRACKETED: Final = re.compile(rf"\[\s*{_ADDRESS}\s*(?:%\w+)?\]")
_BARE: Final = re.compile(rf"(?<![\w.:-]){_ADDRESS}(?![\w.:-])")
# What the client said of itself is no witness of where it is.
_CLAIM: Final = re.compile(r"\b(?:helo|ehlo)(?:[=\s]+)(\[[^\]]*\]|[^\s()]+)", re.IGNORECASE)


@functools.lru_cache(512)
def codec(charset: str) -> str:
    """Return the name of the codec for a charset as mail names it, or ""."""
    name = charset.strip().strip("'\"").lower()
    for suffix in ("-i", "-e"):
        name = name.removesuffix(suffix) if name.startswith("iso-8859-") else name
    try:
        known = codecs.lookup(name)
        known.decode(b"", "replace") if known._is_text_encoding else None  # noqa: SLF001
    except (LookupError, ValueError, UnicodeError):
        return ""
    if not known._is_text_encoding or known.name.replace("_", "-") in _REFUSED:  # noqa: SLF001
        return ""
    return _READ_AS.get(known.name, known.name)


def text(octets: bytes, charset: str = "") -> tuple[str, bool]:
    """Decode octets; the second value tells whether the charset kept its word."""
    if octets.isascii() and b"\x1b" not in octets and not charset.lower().startswith("utf-"):
        return octets.decode("ascii"), True  # the common case, whatever is claimed
    honest = True
    for name in dict.fromkeys((codec(charset), "utf-8")):
        if name:
            try:
                shown = octets.decode(name)
                # UTF-7 alone can spell half a character, which no file can hold.
                if name == "utf-7":
                    shown = shown.encode("utf-8", "replace").decode("utf-8")
                return shown, honest  # noqa: TRY300 - two lines for one case
            except (UnicodeError, ValueError):
                pass
        honest = not charset
    return octets.decode("cp1252", "replace"), honest


def decoded(value: str) -> str:
    """Return a header's value (latin-1, see ``mime``) with RFC 2047 words decoded."""
    if "=?" not in value:
        return value if value.isascii() else text(value.encode("latin-1", "replace"))[0]
    value = _GAP.sub(r"\1", value)
    shown, at = list[str](), 0
    charset, held = "", b""
    for word in _WORD.finditer(value):
        if word.start() > at or word[1].lower() != charset:
            shown += [text(held, charset)[0], decoded_plain(value[at : word.start()])]
            held = b""
        charset, at = word[1].lower(), word.end()
        held += _word(word[2], word[3])  # characters may be split between two words
    return "".join([*shown, text(held, charset)[0], decoded_plain(value[at:])])


def decoded_plain(value: str) -> str:
    """Return text without encoded words: 8-bit is read as UTF-8 where it is that."""
    return value if value.isascii() else text(value.encode("latin-1", "replace"))[0]


def _word(encoding: str, body: str) -> bytes:
    octets = body.encode("latin-1", "replace")
    if encoding in "qQ":
        return quopri.decodestring(octets, header=True)
    try:
        return binascii.a2b_base64(octets + b"==")
    except binascii.Error:
        return octets


def subject_key(subject: str) -> str:
    """Return what copies of one subject have in common; "" where too little is left.

    Answer prefixes, numbers and case differ between copies.  Applying it twice changes
    nothing.
    """
    words = _REPLY.sub("", subject[:500].casefold()).split()
    key = " ".join("#" if any(c.isdigit() for c in word) else word for word in words)
    key = key.strip(" .!?-")
    return key if sum(c.isalpha() for c in key) >= _KEY else ""


def received(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of a Received chain, newest first, hops without one left out."""
    hops = (hop(field) for field in list(fields)[:CHAIN])
    return tuple(address for address in hops if address)


def hop(field: str) -> str:
    """Return the address that the writer of one Received field saw, or "".

    What stands in parentheses was added by the server and is preferred to what the
    client said; Exim writes ``from [seen] (helo=said)``, qmail ``(HELO said) (seen)``.
    """
    clause = field[:1000].partition(" by ")[0]
    if not clause.lower().startswith("from"):
        return ""
    clause = _CLAIM.sub("", clause)
    _, _, added = clause.partition("(")
    for where in (added, clause):
        for pattern in (_BRACKETED, _BARE):
            for found in reversed(pattern.findall(where)):
                if address := canonical(found):
                    return address
    return ""


@functools.lru_cache(4096)
def canonical(address: str) -> str:
    """Return the canonical text of an address, IPv4-mapped IPv6 as IPv4, or ""."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = getattr(known, "ipv4_mapped", None)
    return str(mapped or known)


def within(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address lies in one of the networks; no address lies in none."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(known in network for network in networks)


def origin(peer: str, chain: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the first hop, from the peer down, that is neither private nor trusted.

    Below it every Received field is the stranger's own writing and proves nothing.
    """
    for address in (peer, *chain):
        known = canonical(address)
        if known and public(known) and not within(known, trusted):
            return known
    return ""


@functools.lru_cache(4096)
def public(address: str) -> bool:
    """Tell whether an address could be a stranger's: not private, not loopback.

    The documentation networks count as strangers: evidence is one thing, what may be
    listed is the court's.
    """
    known = ipaddress.ip_address(address)
    return not any(known in network for network in _INSIDE if network.version == known.version)


_INSIDE: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10",
        "ff00::/8",
    )
)  # fmt: skip
