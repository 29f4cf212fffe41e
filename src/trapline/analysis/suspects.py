"""Suspects: a fold over the journal that knows, at any time, against whom there is evidence.

``Docket.take`` is called for every entry, in order of time; ``suspects`` and
``crossings`` tell what came of it.  Equal entries give equal suspects.  The whole state
is one msgspec struct: a snapshot continued is the same as a straight run.

Must not be in here: trials, listings, I/O, clocks (``now`` is an argument).
"""

import functools
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from trapline.analysis import evidence, headers, links, probes
from trapline.analysis.accounts import FLOOR, Account, reasons
from trapline.analysis.evidence import Exempt, Weighed, Weights
from trapline.events import Entry, EnvelopeDropped, MailOffered
from trapline.listings import Indicator, Kind, Suspect
from trapline.message import Facts

DAY: Final = 86_400 * 10**9  # nanoseconds
_ALONE: Final = frozenset({"odd", "limit"})  # a host's own affair: curious, not criminal
NAMES: Final = 10  # recipients or URL hosts of one message that are held to account


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """When a suspect is ripe for the court, and how much is remembered."""

    threshold: float = 1.0  # points: "bring to trial"
    half_life_days: float = 7.0  # addresses change hands within weeks
    breadth: int = 3  # bad hosts before their network is suspected
    bad: float = 0.25  # points that make a host of a network a bad one: one message does
    cap_host: float = 0.4  # what one host adds to a network, a name, a subject: so three
    hosts: int = 50_000  # accounts kept, about 1 KB each; the weakest go
    names: int = 10_000  # accounts kept of each other kind
    weights: Weights = Weights()


class State(msgspec.Struct, kw_only=True):
    """All that the docket remembers; encode it for a snapshot."""

    accounts: dict[Kind, dict[str, Account]] = {}
    memory: probes.Memory = msgspec.field(default_factory=probes.Memory)
    counted: dict[str, int] = {}  # sessions whose relay test was counted
    ripe: list[Indicator] = []  # reached the threshold, not yet reported


class Docket:
    """What is held against whom; see the module's docstring."""

    def __init__(
        self,
        settings: Settings | None = None,
        exempt: Exempt | None = None,
        state: State | None = None,
    ) -> None:
        self.settings, self.exempt = settings or Settings(), exempt or Exempt()
        self.state = state or State()
        self.touched: list[Indicator] = []  # by the last entry taken
        self._half_life = self.settings.half_life_days * DAY

    def take(self, entry: Entry, facts: Facts | None = None) -> probes.Probe | None:
        """Take one entry, with what its message says if it has one; return a relay test."""
        self.touched = []
        probe = probes.judge(self.state.memory, entry, facts)
        peer = evidence.culprit(entry, facts, self.exempt)
        if not peer:
            return probe
        weights = self.settings.weights
        for piece in evidence.weigh(entry, facts, probe, weights, self.exempt):
            weighed = self._once(entry, piece)
            self._blame(entry, Indicator(Kind.HOST, peer), weighed.witness, weighed)
            if weighed.witness in _ALONE:
                continue
            shared = msgspec.structs.replace(weighed, cap=self.settings.cap_host)
            for network, witness in networks(peer):
                self._blame(entry, Indicator(Kind.NETWORK, network), witness, shared)
            if weighed.witness == "spam":
                for kind, name, share in named(entry, facts, probe):
                    part = msgspec.structs.replace(shared, weight=weighed.weight * share)
                    self._blame(entry, Indicator(kind, name), peer, part)
        return probe

    def suspects(self, now: int) -> list[Suspect]:
        """Return everybody with evidence that still counts, the strongest first.

        Who has ``settings.threshold`` points or more is to be brought to trial.
        """
        found = [
            suspect
            for kind in Kind
            for value, account in self.state.accounts.get(kind, {}).items()
            if (suspect := self._suspect(Indicator(kind, value), account, now))
        ]
        return sorted(found, key=lambda s: (-s.score, s.indicator))

    def ripe(self, indicator: Indicator) -> bool:
        """Tell whether an indicator had reached the threshold with its newest evidence."""
        account = self.state.accounts.get(indicator.kind, {}).get(indicator.value)
        return account is not None and account.over

    def suspect(self, indicator: Indicator, now: int) -> Suspect | None:
        """Return what stands against one indicator; None where nothing does any more."""
        account = self.state.accounts.get(indicator.kind, {}).get(indicator.value)
        return self._suspect(indicator, account, now) if account else None

    def crossings(self, now: int) -> list[Suspect]:
        """Return those that reached the threshold since the last call, in that order.

        Each is told once, until it has fallen below and risen again.
        """
        ripe, self.state.ripe = self.state.ripe, []
        found = []
        for indicator in ripe:
            account = self.state.accounts[indicator.kind].get(indicator.value)
            if account and (suspect := self._suspect(indicator, account, now)):
                found.append(suspect)
        return found

    def _once(self, entry: Entry, piece: Weighed) -> Weighed:
        """Let a session's second relay test weigh nothing: a scan asks sixteen times."""
        session = entry.stamp.session
        if "probes" not in piece.tallies or not session:
            return piece
        known = session in self.state.counted
        probes.remember(self.state.counted, session, probes.SESSIONS)
        return msgspec.structs.replace(piece, weight=0.0) if known else piece

    def _blame(self, entry: Entry, indicator: Indicator, witness: str, piece: Weighed) -> None:
        kind, value, at = indicator.kind, indicator.value, entry.stamp.at
        table = self.state.accounts.setdefault(kind, {})
        account = table.get(value)
        if account is None or account.score(at, self._half_life) < FLOOR:
            # Closed accounts are reopened empty, so it does not matter when they are pruned.
            account = table[value] = Account(at=at, first=at, last=at)
        account.add(
            entry.id,
            at,
            witness=witness,
            weight=piece.weight,
            cap=piece.cap,
            half_life=self._half_life,
            tallies=piece.tallies,
        )
        self.touched.append(Indicator(kind, value))
        ripe = self._ripe(kind, account, at)
        if ripe and not account.over:
            self.state.ripe.append(indicator)
        account.over = ripe
        most = self.settings.hosts if kind is Kind.HOST else self.settings.names
        if len(table) > most + most // 8:
            self._prune(kind, most, at)

    def _ripe(self, kind: Kind, account: Account, now: int) -> bool:
        enough = account.score(now, self._half_life) >= self.settings.threshold
        return enough and (kind is not Kind.NETWORK or self._broad(account, now))

    def _broad(self, account: Account, now: int) -> bool:
        bad = account.bad(now, self._half_life, self.settings.bad)
        return bad >= self.settings.breadth

    def _suspect(self, indicator: Indicator, account: Account, now: int) -> Suspect | None:
        score = account.score(now, self._half_life)
        if score < FLOOR:
            return None
        if indicator.kind is Kind.NETWORK and not self._broad(account, now):
            return None
        hosts = 1 if indicator.kind is Kind.HOST else len(account.sums)
        return Suspect(
            indicator=indicator,
            score=round(score, 6),
            count=account.count,
            first=account.first,
            last=account.last,
            hosts=hosts,
            reasons=reasons(account, indicator.kind, hosts),
            evidence=account.named(),
        )

    def _prune(self, kind: Kind, most: int, now: int) -> None:
        """Let the weakest accounts go, and the closed ones first."""
        table = self.state.accounts[kind]
        order = sorted(
            table, key=lambda v: (-table[v].score(now, self._half_life), -table[v].last, v)
        )
        self.state.accounts[kind] = {value: table[value] for value in order[:most]}
        gone = set(order[most:])
        self.state.ripe = [
            i for i in self.state.ripe if i.kind is not kind or i.value not in gone
        ]


@functools.lru_cache(4096)
def networks(peer: str) -> tuple[tuple[str, str], ...]:
    """Return the networks an address speaks against, each with the witness it is there.

    A /24 for IPv4.  For IPv6 the /64, which is one customer's, and the /48, where that
    /64 is one witness however many addresses it has.
    """
    address = ipaddress.ip_address(peer)
    if address.version == 4:
        return ((str(ipaddress.ip_network((address, 24), strict=False)), peer),)
    small = str(ipaddress.ip_network((address, 64), strict=False))
    return (small, peer), (str(ipaddress.ip_network((address, 48), strict=False)), small)


def named(
    entry: Entry, facts: Facts | None, probe: probes.Probe | None
) -> Iterator[tuple[Kind, str, float]]:
    """Yield the names that mail bears, with the share of its weight that each gets."""
    event = entry.event
    if not isinstance(event, MailOffered | EnvelopeDropped):
        return
    sender = event.sender.lower()[:320]
    if event.helo and not event.helo.startswith("["):
        yield Kind.HELO, event.helo.lower()[:255], 1.0
    if sender:
        yield Kind.SENDER, sender, 1.0
    if domain := sender.rpartition("@")[2].rstrip("."):
        yield Kind.DOMAIN, domain, 1.0
    if facts and not probe and (key := headers.subject_key(facts.subject)):
        yield Kind.SUBJECT, key, 1.0
    recipients = _few(r.lower()[:320] for r in event.recipients)
    for recipient in recipients:
        yield Kind.RECIPIENT, recipient, 1.0 / len(recipients)
    for name in _few(map(links.registered, facts.hosts if facts else ())):
        yield Kind.URL, name, 1.0


def _few(names: Iterable[str]) -> list[str]:
    """Return the first different names; a run to thousands accuses nobody in particular."""
    found = dict[str, None]()
    for name in names:
        if name:
            found[name] = None
        if len(found) >= NAMES:
            break
    return list(found)
