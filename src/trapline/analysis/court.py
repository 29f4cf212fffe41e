"""Court: from evidence in the order of time to the listings that hold at one moment.

A term begins with the evidence that carries a suspect over the threshold, and each new
evidence renews it; whoever comes back is listed for twice as long.  All of it is a fold
over the journal, so replaying the journal gives the same cases, terms and listings.
Trials are held when listings are asked for: a listed suspect that turns up in genuine
mail is off the list with the next question.

Must not be in here: clocks (``now`` is an argument), how suspicion is counted
(``suspects.py``), what a trial looks at (``trial.py``).
"""

import base64
import hashlib
import math
from collections.abc import Callable
from typing import Final

import msgspec

from trapline import addresses
from trapline.events import ListingWithdrawn
from trapline.listings import Indicator, Kind, Listing, Suspect, Trial

DAY: Final = 86_400_000_000_000  # ns
EVER: Final = 2**63 - 1
# Crockford's alphabet: nobody reads a case number over the phone and gets it wrong.
_READABLE: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When a term begins and how long it lasts, from the operator's settings."""

    threshold: float = 1.0
    half_life: int = 7 * DAY  # of a score
    term: int = 7 * DAY
    max_term: int = 180 * DAY
    kinds: tuple[Kind, ...] = (Kind.HOST, Kind.NETWORK)  # what may be listed at all
    max_listings: int = 100_000


class Record(msgspec.Struct, kw_only=True):
    """What the court knows of one indicator: its present or last term."""

    suspect: Suspect  # as it stood with the newest evidence
    case: str
    since: int
    until: int
    times: int


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal: what it names, and all that overlaps, is off the list ``until``."""

    indicator: Indicator
    since: int
    until: int
    reason: str

    def covers(self, indicator: Indicator, at: int) -> bool:
        """Tell whether an indicator is kept off the list at a moment."""
        if not self.since <= at < self.until:
            return False
        ours, theirs = self.indicator.network(), indicator.network()
        if ours is None or theirs is None:
            return self.indicator == indicator
        return ours.version == theirs.version and ours.overlaps(theirs)


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What the court says at one moment."""

    listings: tuple[Listing, ...] = ()  # the strongest first
    refused: tuple[Trial, ...] = ()  # over the threshold, but not acquitted
    crowded_out: int = 0  # acquitted, but more than ``max_listings``


class Court(msgspec.Struct):
    """The fold: evidence and withdrawals in, in the order of time; verdicts out."""

    rules: Rules
    records: dict[str, Record] = {}
    bars: list[Bar] = []

    def cares(self, indicator: Indicator) -> bool:
        """Tell whether an indicator is of a kind that may be listed at all."""
        return indicator.kind in self.rules.kinds

    def running(self, indicator: Indicator, at: int) -> bool:
        """Tell whether a term of an indicator runs at a moment."""
        record = self.records.get(str(indicator))
        return record is not None and at < record.until

    def hear(self, suspect: Suspect) -> None:
        """Take a suspect as it stands with new evidence, given at ``suspect.last``."""
        indicator, at = suspect.indicator, suspect.last
        if not self.cares(indicator) or self.bar(indicator, at):
            return
        record = self.records.get(str(indicator))
        if record is not None and at < record.until:
            record.suspect = suspect
            record.until = max(record.until, at + self._term(record.times))
        elif suspect.score >= self.rules.threshold:
            times = record.times + 1 if record is not None else 1
            self.records[str(indicator)] = Record(
                suspect=suspect,
                case=record.case if record is not None else number(indicator, suspect.first),
                since=at,
                until=at + self._term(times),
                times=times,
            )

    def withdraw(self, event: ListingWithdrawn, at: int) -> None:
        """Take the operator's word: end the running terms, and bar new ones."""
        if (indicator := indicated(event.indicator)) is None:
            return
        bar = Bar(indicator=indicator, since=at, until=event.until or EVER, reason=event.reason)
        self.bars.append(bar)
        for record in self.records.values():
            if bar.covers(record.suspect.indicator, at):
                record.until = min(record.until, at)

    def bar(self, indicator: Indicator, at: int) -> Bar | None:
        """Return the withdrawal that keeps an indicator off the list, if there is one."""
        return next((bar for bar in reversed(self.bars) if bar.covers(indicator, at)), None)

    def in_term(self, now: int) -> list[Record]:
        """Return the records whose term runs, those with the most suspicion left first."""
        running = [r for r in self.records.values() if r.since <= now < r.until]
        return sorted(running, key=lambda r: (-self._left(r.suspect), r.suspect.indicator))

    def sit(self, hold: Callable[[Suspect], Trial], now: int) -> Verdicts:
        """Try everyone whose term runs, and return what holds at this moment."""
        listings, refused, crowded_out = list[Listing](), list[Trial](), 0
        for record in self.in_term(now):
            trial = hold(record.suspect)
            if not trial.acquits_genuine_mail:
                refused.append(trial)
            elif len(listings) >= self.rules.max_listings:
                crowded_out += 1
            else:
                listings.append(_listing(record, trial))
        return Verdicts(
            listings=tuple(listings), refused=tuple(refused), crowded_out=crowded_out
        )

    def _left(self, suspect: Suspect) -> float:
        """Rank by decayed score: its logarithm falls alike for all, so no ``now`` is needed."""
        return math.log2(max(suspect.score, 1e-300)) + suspect.last / self.rules.half_life

    def _term(self, times: int) -> int:
        """Return how long the term lasts: doubled each time, up to the cap."""
        doubled: int = self.rules.term << min(times - 1, 32)
        return min(doubled, max(self.rules.term, self.rules.max_term))


def _listing(record: Record, trial: Trial) -> Listing:
    return Listing(
        trial=trial,
        case=record.case,
        since=record.since,
        until=record.until,
        times=record.times,
    )


def number(indicator: Indicator, first: int) -> str:
    """Return the case number: the same for the same indicator and first evidence."""
    digest = hashlib.sha256(f"{indicator}\n{first}".encode("utf-8", "surrogatepass")).digest()
    return "T-" + base64.b32encode(digest[:5]).decode("ascii")[:6].translate(_READABLE)


def indicated(text: str) -> Indicator | None:
    """Read an indicator as it prints (``host 192.0.2.7``), or a bare address or network.

    Returns None for what is neither, or names something that can never be met.
    """
    kind, _, value = text.strip().partition(" ")
    if kind in (Kind.HOST, Kind.NETWORK):
        text = value
    elif kind in set(Kind) and value.strip():
        return Indicator(Kind(kind), value.strip())
    if (net := addresses.network(text)) is None:
        return None
    if net.prefixlen == net.max_prefixlen:
        return Indicator(Kind.HOST, str(net.network_address))
    return Indicator(Kind.NETWORK, str(net))
