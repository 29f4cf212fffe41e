"""Mail for tests: entries and facts of the analysis, with as little said as possible."""

from collections.abc import Sequence

from trapline.analysis.messages import facts
from trapline.events import Entry, Event, MailOffered, Stamp
from trapline.message import Facts

HOUR = 3600 * 10**9
START = 1_790_000_000 * 10**9  # ns, in September 2026
SPAM = b"From: a@spam.example\r\nSubject: Buy now\r\n\r\nhttp://evil.example/1 cheap pills\r\n"


def offered(
    octets: bytes = SPAM,
    *,
    sender: str = "a@spam.example",
    recipients: Sequence[str] = ("victim@x.example",),
    refused: Sequence[str] = (),
    helo: str = "spam.example",
) -> MailOffered:
    """Return the envelope of a message."""
    return MailOffered(
        sender=sender,
        recipients=tuple(recipients),
        refused=tuple(refused),
        content="",
        size=len(octets),
        kept=len(octets),
        helo=helo,
    )


def entry(
    event: Event,
    *,
    peer: str = "198.51.100.7",
    at: int = START,
    session: str = "",
    name: str = "",
) -> Entry:
    """Return an entry about what a peer did to 192.0.2.25."""
    stamp = Stamp(at=at, sensor="relay", session=session, peer=peer, local="192.0.2.25:25")
    return Entry(id=name or f"t-{peer}-{at}", stamp=stamp, event=event)  # type: ignore[arg-type]


def read(one: Entry, octets: bytes = SPAM) -> Facts:
    """Return what the message of an entry says."""
    assert isinstance(one.event, MailOffered)
    return facts(one.id, one.event, octets, one.stamp.peer, local=one.stamp.local)
