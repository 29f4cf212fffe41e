"""Archive: what one genuine message says that a listing could hit.

Must not be in here: files and folders (``genuine.py``), judging suspects (``trial.py``).
"""

import itertools
import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from trapline.addresses import Network
from trapline.analysis import headers, links, mime
from trapline.analysis.trial import Item

READ: Final = 2**20  # octets of one message that are read
_ADDRESS: Final = re.compile(r"[^\s<>@,;:\"()\[\]\\]{1,64}@[A-Za-z0-9._-]{1,253}")
_HELO: Final = re.compile(
    r"from\s+(\S+)|\(?\b(?:helo|ehlo)[=\s]+(\[?[^\s()\]]+)", re.IGNORECASE
)
# The line before a message in an mbox; a sentence that begins so has no time of day.
_FROM: Final = re.compile(
    rb"^From \S+ +\w{3} \w{3} +\d+ \d\d:\d\d.*\d{4}[^\n]{0,12}$", re.MULTILINE
)

_BREAKS: Final = (b"\n\n", b"\n\r\n")

_SENDERS: Final = ("return-path", "from", "sender", "reply-to", "x-envelope-from")
_RECIPIENTS: Final = ("delivered-to", "x-original-to", "envelope-to", "to", "cc")


def messages(octets: bytes | mmap.mmap) -> Iterator[bytes]:
    """Yield the messages of an mbox, or the one that a file holds."""
    if octets[:5] != b"From ":
        yield octets[:READ]
        return
    found = (match.start() for match in _FROM.finditer(octets))
    starts = [at for at in found if not at or octets[at - 3 : at].endswith(_BREAKS)] or [0]
    for start, end in itertools.pairwise([*starts, len(octets)]):
        yield octets[start : min(end, start + READ)]


def item(octets: bytes, name: str, source: str, trusted: Sequence[Network]) -> Item | None:
    """Return what a message says; None where it is none, having no header of mail.

    Args:
        octets: the message, with or without the line of an mbox before it.
        name: where it is found again.
        source: the archive as configured.
        trusted: networks of our own relays, whose Received fields are believed.
    """
    mail = mime.parse(octets[:READ])
    fields = mail.headers
    if not any(name in fields for name in ("from", "received", "date", "message-id")):
        return None
    subject = headers.decoded(fields.get("subject"))
    peers, helos = _client(fields.all("received"), trusted)
    return Item(
        name=name,
        source=source,
        about=f"from {headers.decoded(fields.get('from'))[:80]}: {subject[:80]}",
        peers=peers,
        helos=helos,
        senders=_addresses(fields, _SENDERS),
        subjects=(subject,) if subject.strip() else (),
        recipients=_addresses(fields, _RECIPIENTS),
        urls=tuple(dict.fromkeys(filter(None, map(links.host, _urls(mail.parts))))),
    )


def _client(
    received: Sequence[str], trusted: Sequence[Network]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the address that handed the mail to the first host of ours, and its HELO."""
    for field in received[: headers.CHAIN]:
        if peer := headers.origin(headers.hop(field), (), trusted):
            names = (a or b for a, b in _HELO.findall(field[:500]))
            return (peer,), tuple(dict.fromkeys(names))
    return (), ()


def _addresses(fields: mime.Headers, names: Iterable[str]) -> tuple[str, ...]:
    """Return every address in some fields, decoys in display names included."""
    values = (value for name in names for value in fields.all(name))
    return tuple(dict.fromkeys(a for value in values for a in _ADDRESS.findall(value[:8000])))


def _urls(parts: Iterable[mime.Part]) -> Iterator[str]:
    for part in parts:
        if part.type == "text/html":
            text, _ = headers.text(part.content(), part.parameters.get("charset", ""))
            yield from links.in_html(text)[0]
        elif part.type.startswith("text/"):
            text, _ = headers.text(part.content(), part.parameters.get("charset", ""))
            yield from links.in_text(text)
