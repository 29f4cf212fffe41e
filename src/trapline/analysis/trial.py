"""Trial: hold a suspect against the operator's own genuine mail, and say what it would cost.

``hold(suspect, genuine)`` is the only maker of trials.  A genuine item counts as tried
only where it carries what the indicator matches on: mail without a believable client
address says nothing about blocking an address, however much of it there is.

Must not be in here: reading archives and logs (``genuine.py``), deciding for how long
something is listed (``court.py``).
"""

import bisect
import functools
import ipaddress
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from trapline import addresses
from trapline.addresses import Network
from trapline.analysis import headers
from trapline.listings import Indicator, Kind, Suspect, Trial

SHOWN: Final = 24  # genuine items named in a trial; ``hits`` counts them all
ERROR: Final = 0.05  # of the upper bound: it holds with 95 % confidence


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One genuine message, or one delivery in a log: what a listing could have hit."""

    name: str  # where it is found again: "inbox.mbox#17"
    source: str  # the archive or log as configured
    about: str = ""  # sender and subject, for a person; text from strangers
    peers: tuple[str, ...] = ()  # client addresses that handed it to our own hosts
    helos: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()  # envelope and header
    subjects: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()  # hosts


class Allow(msgspec.Struct, frozen=True, kw_only=True):
    """Whom nothing may ever list, whatever the evidence says."""

    networks: tuple[Network, ...] = ()  # the operator's own, and named hosts' addresses
    domains: tuple[str, ...] = ()  # named domains and hosts, with all below them
    correspondents: frozenset[str] = frozenset()  # whom our users wrote to: `acquainted()`
    rehearsal: tuple[Network, ...] = ()  # documentation space that counts as ordinary

    def why(self, indicator: Indicator) -> str:
        """Say why an indicator may never be listed; "" where nothing forbids it."""
        if indicator.too_wide():
            return "wider than may ever be listed"
        if (net := indicator.network()) is not None:
            return self._address(net)
        return self._name(indicator)

    def _address(self, net: Network) -> str:
        if space := addresses.reserved(net, self.rehearsal):
            return f"reserved address space ({space})"
        own = (n for n in self.networks if n.version == net.version and n.overlaps(net))
        return f"allow-list ({found})" if (found := next(own, None)) else ""

    def _name(self, indicator: Indicator) -> str:
        if indicator.kind is Kind.SUBJECT:
            return ""
        value = canonical(indicator.value)
        domain = value.rpartition("@")[2]
        named = next((d for d in self.domains if d in set(_above(domain))), "")
        if named:
            return f"allow-list ({named})"
        return "known correspondent" if value in self.correspondents else ""


class _Index(msgspec.Struct):
    """Genuine items by what one kind of indicator matches on."""

    found: dict[str, list[int]] = {}
    tried: int = 0  # items that carry anything of the kind
    sources: dict[str, int] = {}  # how many of those each archive or log gave


class Genuine:
    """All genuine items, and who would be hit by an indicator of any kind."""

    def __init__(self, items: Iterable[Item], allow: Allow | None = None) -> None:
        self.allow = allow or Allow()
        self.items: Sequence[Item] = tuple(items)
        self._indices: dict[Kind, _Index] = {}
        self._clients: list[tuple[int, str]] = []

    def tried(self, kind: Kind) -> int:
        """Count the items that carry what this kind of indicator matches on."""
        return self._index(kind).tried

    def sources(self, kind: Kind) -> tuple[str, ...]:
        """Name the archives and logs those items are from, with how many each gave."""
        counts = sorted(self._index(kind).sources.items())
        return tuple(f"{source} ({count})" for source, count in counts)

    def hits(self, indicator: Indicator) -> list[Item]:
        """Return the items that a listing of the indicator would have blocked."""
        if (net := indicator.network()) is not None:
            values: Iterable[str] = self._within(net)
        else:
            values = (_key(indicator),)
        found = self._index(indicator.kind).found
        return [
            self.items[at] for at in sorted({at for v in values for at in found.get(v, ())})
        ]

    def _index(self, kind: Kind) -> _Index:
        """Return the index of a kind, made when it is first asked for."""
        kind = Kind.HOST if kind is Kind.NETWORK else kind
        if kind in self._indices:
            return self._indices[kind]
        index = self._indices[kind] = _Index()
        for at, item in enumerate(self.items):
            if values := set(filter(None, _VALUES[kind](item))):
                index.tried += 1
                index.sources[item.source] = index.sources.get(item.source, 0) + 1
            for value in values:
                index.found.setdefault(value, []).append(at)
        if kind is Kind.HOST:
            self._clients = sorted((int(ipaddress.ip_address(p)), p) for p in index.found)
        return index

    def _within(self, net: Network) -> Iterator[str]:
        """Yield the clients of genuine mail that lie in a network."""
        self._index(Kind.HOST)
        begin = bisect.bisect_left(self._clients, (int(net.network_address), ""))
        for number, client in itertools.islice(self._clients, begin, None):
            if number > int(net.broadcast_address):
                return
            if (net.version == 6) == (":" in client):
                yield client


def hold(suspect: Suspect, genuine: Genuine) -> Trial:
    """Try one suspect: what a listing would have cost, and whether there may be one at all."""
    indicator = suspect.indicator
    tried = genuine.tried(indicator.kind)
    hits = genuine.hits(indicator)
    return Trial(
        suspect=suspect,
        tried=tried,
        hits=len(hits),
        harmed=tuple(f"{item.name} {item.about}".rstrip() for item in hits[:SHOWN]),
        protected=genuine.allow.why(indicator),
        sources=genuine.sources(indicator.kind),
        upper=upper(len(hits), tried),
    )


@functools.lru_cache(4096)
def upper(hits: int, tried: int) -> float:
    """Return the upper bound on a share, with 95 % confidence (one-sided).

    Args:
        hits: how many of the tried were hit.
        tried: how many were tried; with none nothing is known, and the bound is 1.

    Source:
        C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits",
        Biometrika 26 (1934); without a hit the rule of three, which lies just above.
    """
    if hits >= tried:
        return 1.0
    if not hits:
        return min(1.0, 3 / tried)
    low, high = hits / tried, 1.0
    for _ in range(60):  # halving: the width is far below a float's own after that
        middle = (low + high) / 2
        too_low = _at_most(hits, tried, middle) > ERROR
        low, high = (middle, high) if too_low else (low, middle)
    return high


def _at_most(hits: int, tried: int, share: float) -> float:
    """Return the probability of that many hits or fewer, for a share above hits / tried."""
    if share >= 1:
        return 0.0
    chosen = math.lgamma(tried + 1) - math.lgamma(hits + 1) - math.lgamma(tried - hits + 1)
    term = math.exp(chosen + hits * math.log(share) + (tried - hits) * math.log1p(-share))
    total = term
    for hit in range(hits, 0, -1):
        term *= hit / (tried - hit + 1) * (1 - share) / share
        total += term
        if term < total * 1e-17:  # below the mode the terms only shrink
            break
    return total


def acquainted(recipients: Iterable[str]) -> frozenset[str]:
    """Return the addresses written to, and their domains: neither may be listed."""
    known = frozenset(map(canonical, recipients))
    return known | _domains(known)


def canonical(text: str) -> str:
    """Return the form in which names are compared: case and spaces undone."""
    return " ".join(text.casefold().split()).rstrip(" .")


def _key(indicator: Indicator) -> str:
    """Return the form in which genuine items are indexed."""
    if indicator.kind is Kind.SUBJECT:
        return headers.subject_key(indicator.value)
    return canonical(indicator.value)


def _domains(senders: Iterable[str]) -> frozenset[str]:
    return frozenset(s.rpartition("@")[2] for s in senders if "@" in s)


def _above(domain: str) -> Iterator[str]:
    """Yield a domain and those above it, down to two labels: a listing covers what is below."""
    labels = domain.split(".")
    yield domain
    yield from (".".join(labels[at:]) for at in range(1, len(labels) - 1))


def _every_above(domains: Iterable[str]) -> Iterator[str]:
    return (above for domain in domains for above in _above(domain))


def _clients(item: Item) -> Iterable[str]:
    return (str(net.network_address) for p in item.peers if (net := addresses.network(p)))


_VALUES: Final[dict[Kind, Callable[[Item], Iterable[str]]]] = {
    Kind.HOST: _clients,
    Kind.HELO: lambda item: map(canonical, item.helos),
    Kind.SENDER: lambda item: map(canonical, item.senders),
    Kind.DOMAIN: lambda item: _every_above(_domains(map(canonical, item.senders))),
    Kind.SUBJECT: lambda item: map(headers.subject_key, item.subjects),
    Kind.RECIPIENT: lambda item: map(canonical, item.recipients),
    Kind.URL: lambda item: _every_above(map(canonical, item.urls)),
}
