"""Probes: relay tests recognised by score, never by a single yes or no.

A tester sends one small message (or only an envelope) through a server to see whether it
arrives.  What one message bears is in its ``clues``; what only history can tell is in a
:class:`Memory`, kept small.  ``judge`` adds both up.

Must not be in here: I/O; releasing anything: a probe can only be looked at.
"""

import functools
import ipaddress
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from trapline.events import Entry, EnvelopeDropped, MailOffered
from trapline.message import Facts, Sort

SCORE: Final = 1.0  # from here on it is called a relay test
SMALL: Final = 2048  # octets; tests are short
FEW: Final = 2  # recipients; a test needs one
NETWORKS: Final = 20_000  # networks, drop boxes and sessions remembered, oldest out
BOXES: Final = 20_000
SESSIONS: Final = 4096

# What each mark is worth; a known tester, or our own address in it, nearly decides alone.
WORTH: Final = {
    "known tester": 1.0,
    "our address in it": 0.8,
    "speaks of relaying": 0.6,
    "our host name in it": 0.4,
    "our port in it": 0.2,
    "odd address form": 0.5,
    "sender writes to itself": 0.6,
    "same domain": 0.2,
    "random token": 0.3,
    "says it is a test": 0.4,
    "recipient tested before": 0.8,
    "first mail of its network": 0.2,
    "no link": 0.1,
    "small": 0.1,
    "few recipients": 0.1,
    "envelope only": 0.2,
    "series of envelopes": 0.7,
}
# They say little alone: mail of strangers is often small, first, without links.
_WEAK: Final = frozenset({
    "no link", "small", "few recipients", "first mail of its network", "envelope only",
    "same domain", "our port in it",
})  # fmt: skip

_TESTER: Final = re.compile(
    r"(?i)@(?:[\w.-]+\.)?(?:abuse\.net|ordb\.org|orbs\.org|mail-abuse\.org|dsbl\.org"
    r"|njabl\.org|sorbs\.net|spamhaus\.org|mxtoolbox\.com|mailradar\.com|scanme\.org"
    r"|relaytest\.\w+|antispam-ufrj\.pads\.ufrj\.br|rapid7\.com|abuse\.earthlink\.net)$"
    r"|^(?:\"?relaytest|spamtest@|nessus@|openrelay@|spaminator@)"
)
_TESTS: Final = (
    "proxycheck", "dsbl listme", "relay test", "relaytest", "open relay test", "mxtoolbox",
    "third-party relay", "antirelay", "relaycheck", "relay check",
)  # fmt: skip
_TEST: Final = re.compile(
    r"(?i)^\W*(?:test\w*|hello|hi|check\w*|relay\w*|ping|\d+)?\W*$|\btest\b"
)
_ODD_FORM: Final = re.compile(r"[^@]%[^@]+(?:@|$)|!|^@[^:]+:|@\[|^\".*[@%].*\"|@.*@")
_TOKEN: Final = re.compile(
    r"(?<![\w/=?&.-])(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9]{16,64}(?![\w/=.-])"
)


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that looks like a relay test: how much, and why."""

    entry: str
    at: int
    peer: str
    score: float  # 1.0 and more: called a test
    reasons: tuple[str, ...]
    sender: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""


class Memory(msgspec.Struct, kw_only=True):
    """What must be remembered between entries: bounded, and fit for a snapshot."""

    networks: dict[str, int] = {}
    boxes: dict[str, int] = {}
    sessions: dict[str, int] = {}


def clues(  # noqa: PLR0913 - a message, and who we are
    event: MailOffered,
    subject: str,
    text: str,
    urls: Sequence[str],
    *,
    local: str = "",
    names: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the marks of a relay test that the message itself bears."""
    said = f"{subject}\n{text[:SMALL]}"
    lower = said.lower()
    few = len(_asked(event)) <= FEW
    address, _, port = local.rpartition(":")
    marks = {
        "speaks of relaying": event.size <= SMALL and any(word in lower for word in _TESTS),
        "our address in it": few and _bears_address(lower, address.strip("[]")),
        "our host name in it": few and any(_bears(lower, n.lower()) for n in names),
        "our port in it": bool(port) and _bears(said, port),
        "random token": event.size <= SMALL and bool(_TOKEN.search(said)),
        "says it is a test": event.size <= SMALL and bool(_TEST.search(subject)),
        "no link": not urls,
        "small": event.size <= SMALL,
    }
    marks |= _of_envelope(event)
    return tuple(mark for mark, true in marks.items() if true)


def told(marks: Sequence[str]) -> str:
    """Return why a message's own marks alone make it a relay test; "" where they do not."""
    return ", ".join(marks) if "few recipients" in marks and _worth(marks) >= SCORE else ""


def judge(memory: Memory, entry: Entry, facts: Facts | None = None) -> Probe | None:
    """Return the probe that an entry is, or None; remember what later ones depend on.

    Entries have to come in order of time.  Without facts, only the envelope speaks.
    """
    event = entry.event
    if not isinstance(event, MailOffered | EnvelopeDropped):
        return None
    marks = dict.fromkeys(facts.clues if facts else ())
    marks |= dict.fromkeys(k for k, true in _of_envelope(event).items() if true)
    boxes = [recipient.lower() for recipient in _asked(event)[:20]]
    network = wider(entry.stamp.peer)
    marks |= dict.fromkeys(_of_history(memory, entry, boxes, network))
    remember(memory.networks, network, NETWORKS)
    returned = (facts and facts.sort is Sort.RETURNED) or not event.sender
    if returned and "known tester" not in marks and "series of envelopes" not in marks:
        return None  # servers verify a sender with <> and no message, and bounce with it
    if "few recipients" not in marks or (score := _worth(tuple(marks))) < SCORE:
        return None
    for box in boxes:
        remember(memory.boxes, box, BOXES)
    return Probe(
        entry=entry.id,
        at=entry.stamp.at,
        peer=entry.stamp.peer,
        score=round(score, 2),
        reasons=tuple(marks),
        sender=event.sender,
        recipients=_asked(event),
        subject=facts.subject if facts else "",
    )


@functools.lru_cache(4096)
def wider(peer: str) -> str:
    """Return the /24 or /64 that an address lies in."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return ""
    return str(
        ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False)
    )


def _asked(event: MailOffered | EnvelopeDropped) -> tuple[str, ...]:
    """Return whom the peer wanted to reach: a test asks as much when it is refused."""
    return (*event.recipients, *event.refused)


def _of_envelope(event: MailOffered | EnvelopeDropped) -> dict[str, bool]:
    sender = event.sender.lower()
    recipients = [r.lower() for r in _asked(event)]
    few = 0 < len(recipients) <= FEW
    domains = {r.rpartition("@")[2] for r in recipients}
    return {
        "few recipients": few,
        "sender writes to itself": few and sender in recipients,
        "same domain": few and "@" in sender and sender.rpartition("@")[2] in domains,
        "odd address form": few and any(map(_ODD_FORM.search, (sender, *recipients))),
        "known tester": few and _tester(sender, recipients),
        "envelope only": isinstance(event, EnvelopeDropped),
    }


def _of_history(
    memory: Memory, entry: Entry, boxes: Sequence[str], network: str
) -> Sequence[str]:
    found = []
    if network not in memory.networks:
        found.append("first mail of its network")
    if any(box in memory.boxes for box in boxes):
        found.append("recipient tested before")
    if isinstance(entry.event, EnvelopeDropped) and entry.stamp.session:
        dropped = memory.sessions.get(entry.stamp.session, 0) + 1
        remember(memory.sessions, entry.stamp.session, SESSIONS, dropped)
        if dropped >= 3:
            found.append("series of envelopes")
    return found


def _worth(marks: Sequence[str]) -> float:
    """Add the marks up; weak ones count only beside a strong one."""
    if all(mark in _WEAK for mark in marks):
        return 0.0
    return sum(WORTH[mark] for mark in marks)


def _tester(sender: str, recipients: Sequence[str]) -> bool:
    return any(_TESTER.search(address) for address in (sender, *recipients))


def _bears(said: str, word: str) -> bool:
    if not word or word not in said:
        return False
    return re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", said) is not None


def _bears_address(said: str, address: str) -> bool:
    """Tell whether our address is in it."""
    return any(_bears(said, form) for form in _forms(address))


@functools.lru_cache(256)
def _forms(address: str) -> frozenset[str]:
    """Return how testers write an address: dotted, reversed, in hex or decimal."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return frozenset()
    forms = {str(known), known.exploded, known.packed.hex()}
    if known.version == 4:
        octets = str(known).split(".")
        forms |= {".".join(reversed(octets)), "-".join(octets), str(int(known))}
    return frozenset(forms)


def remember(table: dict[str, int], key: str, most: int, value: int = 1) -> None:
    """Remember a key, and forget the one heard of longest ago where there are too many."""
    table.pop(key, None)
    table[key] = value
    if len(table) > most:
        del table[next(iter(table))]
