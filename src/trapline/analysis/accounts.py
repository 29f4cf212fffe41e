"""Accounts: what is held against one indicator, decaying, saturating, bounded.

An account adds evidence up by *witness*: for a host the kinds of evidence, for anything
else the hosts it came from.  Each witness counts up to a cap, so that one flood is not a
thousand witnesses, and everything halves with time.

Must not be in here: what an entry weighs (``evidence``), whom it concerns (``suspects``).
"""

import bisect
import datetime as dt
import math
from collections.abc import Mapping
from typing import Final

import msgspec

from trapline.listings import Kind

WITNESSES: Final = 64  # kept of one account, the strongest; twice that between two cuts
_REBASE: Final = 30  # half-lives after which sums are put in new money
EVIDENCE: Final = 24  # entry ids kept: the first few and the strongest
FIRST: Final = 3
FLOOR: Final = 0.01  # a score below is nothing, and the account is closed


class Account(msgspec.Struct, kw_only=True):
    """What is held against one indicator; ``sums`` are in points as of ``at`` (ns)."""

    at: int
    first: int
    last: int
    count: int = 0
    sums: dict[str, float] = {}
    tallies: dict[str, int] = {}
    evidence: list[tuple[float, str]] = []
    over: bool = False  # it was reported as having reached the threshold

    def score(self, now: int, half_life: float) -> float:
        """Return the sum over all witnesses, decayed to a time (half-life in ns)."""
        return sum(self.sums.values()) * self._decay(now, half_life)

    def bad(self, now: int, half_life: float, least: float) -> int:
        """Count the witnesses that weigh at least so much by themselves."""
        factor = self._decay(now, half_life)
        return sum(weight * factor >= least for weight in self.sums.values())

    def add(  # noqa: PLR0913 - one piece of evidence, whole
        self,
        entry: str,
        at: int,
        *,
        witness: str,
        weight: float,
        cap: float,
        half_life: float,
        tallies: Mapping[str, int],
    ) -> None:
        """Take one piece of evidence; entries a little out of order do no harm."""
        scale = self._scale(at, half_life)
        before = self.sums.get(witness, 0.0)
        self.sums[witness] = max(before, min(cap * scale, before + weight * scale))
        if len(self.sums) > 2 * WITNESSES:
            strongest = sorted(self.sums.items(), key=lambda pair: (-pair[1], pair[0]))
            self.sums = dict(strongest[:WITNESSES])
        self.first, self.last = min(self.first, at), max(self.last, at)
        self.count += 1
        for name, number in tallies.items():
            self.tallies[name] = self.tallies.get(name, 0) + number
        self._note(weight, entry)

    def _scale(self, at: int, half_life: float) -> float:
        """Return what a point at that time is worth in the money of ``self.at``.

        New evidence is dear instead of all the old growing cheap: one multiplication
        in the place of one for each witness.
        """
        scale = math.exp2(min(_REBASE + 1, (at - self.at) / half_life))
        if scale > 2.0**_REBASE:
            factor = math.exp2((self.at - at) / half_life)
            self.sums = {name: value * factor for name, value in self.sums.items()}
            self.at, scale = at, 1.0
        return scale

    def _decay(self, now: int, half_life: float) -> float:
        """Return what the sums are worth at a time; the past is seen from the last entry."""
        return math.exp2((self.at - max(now, self.last)) / half_life)

    def _note(self, weight: float, entry: str) -> None:
        """Keep the entry's id, if it is among the first or the strongest.

        Behind the first few, the list is in order of strength, then of arrival.
        """
        held = self.evidence
        if len(held) == EVIDENCE:
            if weight <= held[-1][0]:
                return
            del held[-1]
        at = min(FIRST, len(held))
        place = bisect.bisect_right(held, -weight, lo=at, key=lambda pair: -pair[0])
        held.insert(place, (weight, entry))

    def named(self) -> tuple[str, ...]:
        """Return the ids of the evidence, strongest first."""
        return tuple(entry for _, entry in sorted(self.evidence, key=lambda pair: -pair[0]))


def reasons(account: Account, kind: Kind, hosts: int) -> tuple[str, ...]:
    """Return what is held against an indicator, in sentences with numbers."""
    said = [
        (one if count == 1 else many).format(f"{count:,}")
        for name, one, many in _SENTENCES.get(kind, _NAMED)
        if (count := account.tallies.get(name, 0))
    ]
    if not said:
        return ()
    recipients = account.tallies.get("recipients", 0)
    if "messages" in account.tallies and kind is not Kind.RECIPIENT:
        said[0] += f" to {_number(recipients, 'recipient')}"
    if kind is not Kind.HOST:
        said[0] += f" from {_number(hosts, 'host')}" + " or more" * (hosts >= WITNESSES)
    said[0] += f" {_between(account)}"
    return tuple(said)


_READ: Final = (
    ("uce", "{} message sells or lures", "{} messages sell or lure"),
    ("bulk", "{} message is bulk or junk", "{} messages are bulk or junk"),
    ("virus", "{} message carries malware", "{} messages carry malware"),
    (
        "unread",
        "{} message could not be read any more",
        "{} messages could not be read any more",
    ),
)
_NAMED: Final = (
    ("messages", "in {} message", "in {} messages"),
    *_READ,
    ("probes", "seen in {} relay test", "seen in {} relay tests"),
)
_SENT: Final = (
    ("messages", "was sent {} message", "was sent {} messages"),
    *_READ,
    ("probes", "drop box of {} relay test", "drop box of {} relay tests"),
)
_ACTS: Final = (
    ("messages", "offered {} message", "offered {} messages"),
    *_READ,
    ("probes", "tested once whether we relay", "tested {} times whether we relay"),
    ("passwords", "guessed {} password", "guessed {} passwords"),
    ("baits", "used bait credentials once", "used bait credentials {} times"),
    ("refused", "tried {} recipient that we refused", "tried {} recipients that we refused"),
    ("odd", "spoke once as no mail server does", "spoke {} times as no mail server does"),
    ("smuggling", "tried once to smuggle a message", "tried {} times to smuggle messages"),
    ("limits", "met a limit on connections", "met limits on connections {} times"),
)
_SENTENCES: Final = {Kind.HOST: _ACTS, Kind.NETWORK: _ACTS, Kind.RECIPIENT: _SENT}


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _between(account: Account) -> str:
    first, last = (f"{_time(at):%Y-%m-%d %H:%M}" for at in (account.first, account.last))
    return f"at {first} UTC" if first == last else f"between {first} and {last} UTC"


def _time(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at // 10**9, dt.UTC)
