"""Fingerprints: a short text that is the same for near-identical bodies.

Copies of one template differ in names, numbers, tokens and link targets.  Those are
dropped, the words that are left become a set, and the smallest hashes of the set are
the fingerprint (a min-hash sketch: two bodies that share the share J of their words
have equal sketches with probability of about J to the power of ``SKETCH``).

Must not be in here: I/O, anything that is not cheap: the journal's thinning calls
``fingerprint`` on the raw octets of every message it looks at.
"""

import hashlib
import re
from typing import Final
from zlib import crc32

from trapline.analysis import headers, links, mime

SKETCH: Final = 4  # hashes; fewer join strangers, more part copies (see the specification)
TEXT: Final = 16 * 2**10  # characters that are read: a template shows by then
LONG: Final = 5  # letters; shorter words are everybody's
FEW: Final = 8  # words below which a sketch says too little and all words are taken
_PERSONAL: Final = re.compile(r"[\d@]|://|www\.|^[!-~]{20,}$")  # a token, a number, a link
_GREETING: Final = re.compile(
    r"(?im)^[^\w\n]{0,9}(?:hi|hello|hey|dear|hallo|liebe[rs]?|sehr geehrte[rs]?|bonjour"
    r"|ch[eè]re?|hola|estimad[oa]|ol[aá]|caro|gentile|attn)\b[^\n]{0,60}$"
)
_WORD: Final = re.compile(r"[^\W\d_]{5,19}")


def fingerprint(octets: bytes) -> str:
    """Return the fingerprint of a raw message, "" where there is nothing to go by."""
    mail = mime.parse(octets)
    return of(mail, readable(mail)[0])


def readable(mail: mime.Mail, limit: int = TEXT) -> tuple[str, list[str], bool]:
    """Return the text a person would read, the URLs in it, and whether all was honest."""
    texts, urls, honest, room = list[str](), list[str](), True, limit
    for part in mail.parts:
        if not part.type.startswith("text/") or part.disposition == "attachment" or room <= 0:
            continue
        text, kept = headers.text(
            part.content()[: 4 * room], part.parameters.get("charset", "")
        )
        honest, text = honest and kept, text[:room]
        room -= len(text)
        if part.type == "text/html":
            found, text = links.in_html(text)
            urls += found
        else:
            urls += links.in_text(text)
        texts.append(text)
    return "\n".join(texts), urls, honest


def of(mail: mime.Mail, text: str) -> str:
    """Return the fingerprint of a message that was taken apart and read before."""
    names = set(_WORD.findall(headers.decoded(mail.headers.get("to")).lower()))
    words = _words(_GREETING.sub(" ", text[:TEXT]).lower()) - names
    if len(words) < FEW:
        rest = [hashlib.sha256(p.content()).digest() for p in mail.parts if _is_file(p)]
        if not words and not rest:
            return ""
        whole = " ".join(sorted(words)).encode() + b"".join(sorted(rest))
        return "x" + hashlib.sha256(whole).hexdigest()[:15]
    sketch = sorted(crc32(word.encode("utf-8", "replace")) for word in words)[:SKETCH]
    return "w" + hashlib.sha256(repr(sketch).encode()).hexdigest()[:15]


def _words(text: str) -> set[str]:
    """Return the long words of a text, those of personal tokens left out."""
    words = set[str]()
    for token in set(text.split()):
        if token.isalpha() and len(token) < 20:
            if len(token) >= LONG:
                words.add(token)
        elif len(token) >= LONG and not _PERSONAL.search(token):
            words.update(_WORD.findall(token))
    return words


def _is_file(part: mime.Part) -> bool:
    return not part.type.startswith("text/") or part.disposition == "attachment"
