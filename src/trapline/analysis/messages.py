"""Messages: raw octets in, Facts out; any octets, in bounded time and memory, never raising.

``facts`` is what the lake keeps of a message and what the docket counts.  It says what
one message bears; what only history can tell (first of its network, seen before) is for
``probes`` and ``suspects``.  Must not be in here: I/O, opening any link.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from trapline.addresses import Network
from trapline.analysis import attachments, fingerprint, headers, kinds, links, mime, probes
from trapline.events import MailOffered
from trapline.message import Facts

FIELD: Final = 1000  # characters of a decoded header field
TEXT: Final = 256 * 2**10  # characters of text that are read
MESSAGE: Final = 32 * 2**20  # octets that are looked at; traps keep less
DEFECTS: Final = 20


def facts(  # noqa: PLR0913 - the message and everything its meaning depends on
    entry: str,
    event: MailOffered,
    octets: bytes,
    peer: str,
    *,
    local: str = "",
    names: Sequence[str] = (),
    trusted: Sequence[Network] = (),
    infected: str = "",
) -> Facts:
    """Return what a captured message says.

    Args:
        entry: the journal entry's id.
        event: its envelope.
        octets: the raw message, dots undone.
        peer: address of the client, from the stamp.
        local: "address:port" the client connected to, from the stamp.
        names: host names that the trap greets with.
        trusted: networks whose ``Received`` fields are believed.
        infected: what a scanner called it, or "".
    """
    mail = mime.parse(octets[:MESSAGE])
    text, urls, honest = fingerprint.readable(mail, TEXT)
    field = mail.headers.get
    subject = _header(field("subject"))
    links_found = tuple(dict.fromkeys(urls))[: links.LINKS]
    carried = tuple(attachments.of(iter(mail.parts)))
    clues = probes.clues(event, subject, text, links_found, local=local, names=names)
    spoken = kinds.Signs(text, links_found, carried, infected, tested=probes.told(clues))
    sort, why = kinds.sort(mail, event, spoken)
    chain = headers.received(mail.headers.all("received"))
    return Facts(
        entry=entry,
        subject=subject,
        from_=_header(field("from")),
        message_id=field("message-id")[:FIELD],
        date=field("date")[:FIELD],
        sort=sort,
        why=why,
        received=chain,
        origin=headers.origin(peer, chain, trusted),
        urls=links_found,
        hosts=tuple(dict.fromkeys(map(links.host, links_found))),
        attachments=carried,
        fingerprint=fingerprint.of(mail, text),
        defects=_defects(mail, event, len(octets), honest=honest),
        clues=clues,
    )


def _header(value: str) -> str:
    return headers.decoded(value)[:FIELD]


def _defects(
    mail: mime.Mail, event: MailOffered, octets: int, *, honest: bool
) -> tuple[str, ...]:
    """Name what was malformed in the message, and what of it was not looked at."""
    found: Iterable[tuple[str, bool]] = (
        *((name, True) for name in mail.defects),
        ("charset", not honest),
        ("not-kept-whole", event.kept < event.size),
        ("cut", octets > MESSAGE),
        ("no-from", "from" not in mail.headers),
        ("no-date", "date" not in mail.headers),
    )
    return tuple(name for name, true in found if true)[:DEFECTS]
