"""Links: URLs in plain text and in HTML, found without following any; counted, bounded.

HTML is read with a few patterns whose time grows with the length alone.  A real parser
was tried: lexbor takes 6.7 s for 256 KB of ``<div>`` and 2.1 s for one tag with 30,000
attributes, which any stranger could send a hundred times a second.

Must not be in here: what a link speaks for, and above all no way to open one.
"""

import functools
import re
from collections.abc import Iterator
from html import unescape
from itertools import islice
from typing import Final
from urllib.parse import unquote

from publicsuffixlist import PublicSuffixList

LINKS: Final = 100  # of one message
LENGTH: Final = 2000  # characters of one URL
HTML: Final = 256 * 2**10  # characters of HTML that are read
_SCHEMES: Final = ("https", "http", "ftp")
_REST: Final = re.compile(r"[^\s<>\"'`{}|\\^\x00-\x20\x7f]{3,2000}")
# No closing quote is asked for: a search for one that is missing reads all there is.
_ATTRIBUTE: Final = re.compile(r"(?:href|src|action|background)\s{0,9}=\s{0,9}")
_VALUE: Final = re.compile(r"""("[^"<>]{0,2000}|'[^'<>]{0,2000}|[^\s<>"']{1,2000})""")
_TAG: Final = re.compile(r"<[^<>]*>")
_UNSEEN: Final = (("<!--", "-->"), ("<script", "</script"), ("<style", "</style"))
_HREF: Final = re.compile(r"^(?:https?:|ftp:)?//", re.IGNORECASE)
_SPACE: Final = re.compile(r"[\x00-\x20\x7f]+")
_TRAILING: Final = ".,;:!?'\"*_~…»\u201d\u2019"
_PAIRS: Final = {")": "(", "]": "[", "}": "{", ">": "<"}
_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")  # what browsers take for dots
_NAME: Final = re.compile(r"[^\s/?#@:\[\]]+")


def in_text(text: str) -> Iterator[str]:
    """Yield the URLs that stand in plain text."""
    lower = _lowered(text)
    for start in sorted(islice(_starts(text, lower), 4 * LINKS)):
        found = _REST.match(text, start, start + LENGTH)
        if found and (link := normal(_trimmed(found[0]))):
            yield link


def _starts(text: str, lower: str) -> Iterator[int]:
    """Yield where URLs may begin; searching for fixed words is far faster than a pattern."""
    at = lower.find("://")
    while at >= 0:
        scheme = next((s for s in _SCHEMES if lower.endswith(s, 0, at)), "")
        if scheme:
            yield at - len(scheme)
        at = lower.find("://", at + 3)
    at = lower.find("www.")
    while at >= 0:
        if not at or not (text[at - 1].isalnum() or text[at - 1] in "@./-_"):
            yield at
        at = lower.find("www.", at + 4)


def in_html(source: str) -> tuple[list[str], str]:
    """Return the URLs of an HTML text (href, src and visible ones), and its text."""
    source = source[:HTML]
    lower = _lowered(source)
    for opening, closing in _UNSEEN:
        if opening in lower:
            source = _without(source, lower, opening, closing)
            lower = _lowered(source)
    found = list[str]()
    for mark in islice(_ATTRIBUTE.finditer(lower), 4 * LINKS):
        quoted = _VALUE.match(source, mark.end())
        value = _SPACE.sub("", unescape(quoted[0].strip("\"'"))) if quoted else ""
        if _HREF.match(value) and (link := normal(value)):
            found.append(link)
    shown = unescape(_TAG.sub(" ", source))
    return [*found, *in_text(shown)], shown


def _lowered(text: str) -> str:
    """Return the text in lower case, unless that would move its characters."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text


def _without(source: str, lower: str, opening: str, closing: str) -> str:
    """Drop what stands between two marks; what is never closed, browsers drop as well."""
    kept, at = list[str](), 0
    while (start := lower.find(opening, at)) >= 0:
        kept.append(source[at:start])
        end = lower.find(closing, start + len(opening))
        if end < 0:
            return "".join(kept)
        at = end + len(closing)
        if closing.startswith("</"):  # ``</script >`` ends a script as well
            at = lower.find(">", at, at + 100) + 1 or at
    return "".join([*kept, source[at:]])


def normal(url: str) -> str:
    """Return a URL with scheme and host in lower case, the rest as found; "" for none."""
    url = unescape(url)[:LENGTH]
    if url.startswith("//"):
        url = "http:" + url
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "http", url
    at = re.search(r"[/?#\\]", rest)
    authority, path = (rest[: at.start()], rest[at.start() :]) if at else (rest, "")
    authority = authority.lower()
    return f"{scheme.lower()}://{authority}{path}" if host(f"x://{authority}") else ""


@functools.lru_cache(4096)
def host(url: str) -> str:
    """Return the host a URL leads to: lower case, IDN in its ASCII form, or "".

    User names before an ``@`` are decoys and left out, as are ports.
    """
    authority = re.split(r"[/?#\\]", url.partition("://")[2], maxsplit=1)[0]
    name = _DOTS.sub(".", unquote(authority.rpartition("@")[2])).strip(".").lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    found = _NAME.match(name)
    if not found or len(found[0]) > 253 or "." not in found[0].strip("."):
        return ""
    return ".".join(_label(label) for label in found[0].strip(".").split("."))


@functools.lru_cache(4096)
def registered(name: str) -> str:
    """Return the registered domain of a host name; addresses and odd names unchanged.

    Private suffixes (``github.io``, ``blogspot.com``) count: what stands below them
    belongs to different people.
    """
    if name.startswith("[") or name.replace(".", "").isdigit():
        return name
    return str(_suffixes().privatesuffix(name) or name)


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _label(label: str) -> str:
    """Return one label of a name in its ASCII form; what cannot be encoded is kept."""
    if label.isascii() or len(label) > 63:  # the codec's time grows with the square
        return label
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        return label


def _trimmed(url: str) -> str:
    """Cut off the punctuation of the sentence that a URL stands in."""
    while url:
        last = url[-1]
        if last in _TRAILING or (last in _PAIRS and url.count(last) > url.count(_PAIRS[last])):
            url = url[:-1]
            continue
        break
    return url
