"""Evidence: what one entry weighs against its peer, and what never weighs anything.

Weights are points; 1.0 point is what the court asks for before it opens a trial.  Never
evidence: bounces and auto-replies, anything with a null sender, mail for postmaster or
abuse alone, known correspondents, the operator's own networks.

Must not be in here: decay, accounts, whom the evidence concerns besides the peer.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from trapline.addresses import Network
from trapline.analysis import headers
from trapline.analysis.probes import Probe
from trapline.events import (
    AuthTried,
    Entry,
    EnvelopeDropped,
    MailOffered,
    OddHeard,
    SessionRefused,
)
from trapline.message import Facts, Sort

_LABELS: Final = 10  # of a domain; names with more are nobody's
_ROLES: Final = frozenset({"postmaster", "abuse", "mailer-daemon"})
_SMUGGLED: Final = frozenset({"smuggling", "injected-before-tls"})


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Points for each kind of evidence, and how far one kind can go (``cap_...``)."""

    message: float = 0.4  # UCE or bulk to one recipient: three bring a host to trial,
    tenfold: float = 0.4  # ... ten times as many recipients weigh so much more: 32 suffice
    most: float = 1.2  # of one message, however many recipients
    infected: float = 1.0  # a scanner found malware: enough by itself
    suspicious: float = 0.6  # an attachment of a dangerous type
    unread: float = 0.2  # the envelope of a message whose body is gone
    probe: float = 0.4  # a relay test: three, since some testers mean well; once a session
    password: float = 0.05  # a guess at credentials: twenty
    bait: float = 0.3  # bait credentials used: they were guessed or stolen before
    refused: float = 0.03  # a recipient that we turned down: a dictionary run of 34
    odd: float = 0.1  # HTTP, TLS hellos, junk: scanners of all sorts, most of them curious
    smuggling: float = 0.4  # an attack on the server behind us
    limit: float = 0.05  # too many connections at once
    cap_spam: float = 3.0  # 1.6 half-lives above the threshold after the worst flood
    cap_guessing: float = 1.5
    cap_dictionary: float = 1.5
    cap_odd: float = 0.6  # never enough alone
    cap_limit: float = 0.3  # never enough alone


class Exempt(msgspec.Struct, frozen=True, kw_only=True):
    """Whose acts are never evidence, and whose word about the origin is believed."""

    networks: tuple[Network, ...] = ()  # the operator's own
    correspondents: frozenset[str] = frozenset()  # addresses and domains, lower case
    forwarders: tuple[Network, ...] = ()  # own relays that bring us others' mail

    def sender(self, address: str) -> bool:
        """Tell whether a sender, its domain or one above that is a known correspondent."""
        address = address.lower()
        labels = address.rpartition("@")[2].split(".")[-_LABELS:]
        domains = (".".join(labels[at:]) for at in range(len(labels)))
        return address in self.correspondents or any(d in self.correspondents for d in domains)


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as evidence: the witness (kind), its points, its cap, what to count."""

    witness: str  # "spam", "guessing", "dictionary", "odd", "limit"
    weight: float
    cap: float
    tallies: Mapping[str, int]


def weigh(  # noqa: PLR0911 - one line for each kind of fact
    entry: Entry, facts: Facts | None, probe: Probe | None, weights: Weights, exempt: Exempt
) -> list[Weighed]:
    """Return what an entry weighs; nothing for what is never evidence."""
    w = weights
    match entry.event:
        case MailOffered() as mail:
            return _envelope(mail, facts, probe, w, exempt)
        case EnvelopeDropped() as dropped:
            return _envelope(dropped, None, probe, w, exempt)
        case AuthTried(accepted=True):
            return [_weighed("guessing", w.bait, w.cap_guessing, baits=1)]
        case AuthTried():
            return [_weighed("guessing", w.password, w.cap_guessing, passwords=1)]
        case OddHeard(what=what) if what in _SMUGGLED:
            return [_weighed("spam", w.smuggling, w.cap_spam, smuggling=1)]
        case OddHeard():
            return [_weighed("odd", w.odd, w.cap_odd, odd=1)]
        case SessionRefused(count=count):
            return [_weighed("limit", w.limit, w.cap_limit, limits=max(1, count))]
    return []


def never(event: MailOffered | EnvelopeDropped, facts: Facts | None, exempt: Exempt) -> str:
    """Return why mail is never evidence, or ""."""
    if not event.sender:
        return "null sender: bounces and callbacks use it"
    if facts and facts.sort is Sort.RETURNED:
        return f"returned mail: {facts.why}"
    if exempt.sender(event.sender):
        return "known correspondent"
    asked = (*event.recipients, *event.refused)
    if asked and all(r.partition("@")[0].lower() in _ROLES for r in asked):
        return "only to postmaster or abuse"
    return ""


def culprit(entry: Entry, facts: Facts | None, exempt: Exempt) -> str:
    """Return the address that answers for an entry, canonical, or "" where none does.

    Behind a forwarder it is the first stranger in the chain; facts are made without
    knowing the forwarders, so the chain is walked here.
    """
    peer = headers.canonical(entry.stamp.peer)
    if headers.within(peer, exempt.forwarders):
        chain = facts.received if facts else ()
        peer = headers.origin(peer, chain, (*exempt.forwarders, *exempt.networks))
    return "" if headers.within(peer, exempt.networks) else peer


def _envelope(
    event: MailOffered | EnvelopeDropped,
    facts: Facts | None,
    probe: Probe | None,
    w: Weights,
    exempt: Exempt,
) -> list[Weighed]:
    if never(event, facts, exempt):
        return []
    found = []
    if probe:
        found.append(_weighed("spam", w.probe, w.cap_spam, probes=1))
    elif isinstance(event, MailOffered):
        found.append(_message(event, facts, w))
    if event.refused:
        count = len(event.refused)
        points = min(w.cap_dictionary, w.refused * count)
        found.append(_weighed("dictionary", points, w.cap_dictionary, refused=count))
    return found


def _message(event: MailOffered, facts: Facts | None, w: Weights) -> Weighed:
    recipients = max(1, len(event.recipients))
    spread = w.tenfold * math.log10(recipients)
    sort = facts.sort if facts else None
    if facts and sort is Sort.VIRUS:
        points = w.infected if facts.why.startswith("scanner:") else w.suspicious
    else:
        points = w.message if sort else w.unread
    counted = {"messages": 1, "recipients": len(event.recipients)}
    counted[sort.value if sort else "unread"] = 1
    return Weighed(
        witness="spam", weight=min(w.most, points + spread), cap=w.cap_spam, tallies=counted
    )


def _weighed(witness: str, weight: float, cap: float, **tallies: int) -> Weighed:
    return Weighed(witness=witness, weight=weight, cap=cap, tallies=tallies)
