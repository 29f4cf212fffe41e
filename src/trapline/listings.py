"""Indicators, suspects, trials and listings: the words of the court.

The types prove that a check was made: a :class:`Listing` can be built only from a
:class:`Trial` that acquitted all genuine mail, and a trial only from a
:class:`Suspect` with evidence.

Must not be in here: how suspicion is counted, how a trial is held, who is protected
(``analysis/``); how a listing is written (``publish/``).
"""

import enum
import ipaddress
import re
from typing import Final

import msgspec

from trapline.addresses import Network
from trapline.errors import TraplineError

WIDEST: Final = {4: 24, 6: 48}  # the shortest prefix that may ever be listed
_CASE: Final = re.compile(r"T-[0-9A-Z]{4,12}")


class Kind(enum.StrEnum):
    """What an indicator matches on."""

    HOST = "host"  # one address
    NETWORK = "network"  # a /24 or /48, when several of its hosts are bad
    HELO = "helo"
    SENDER = "sender"
    DOMAIN = "domain"  # of the envelope sender
    SUBJECT = "subject"
    RECIPIENT = "recipient"
    URL = "url-host"


class Indicator(msgspec.Struct, frozen=True, order=True):
    """Something one can match on: ``host 192.0.2.7``."""

    kind: Kind
    value: str  # canonical: an address as RFC 5952 writes it, names in lower case

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"

    def network(self) -> Network | None:
        """Return the addresses meant, or None where the indicator is no address."""
        if self.kind in (Kind.HOST, Kind.NETWORK):
            return ipaddress.ip_network(self.value)
        return None

    def too_wide(self) -> bool:
        """Tell whether more addresses are meant than may ever be listed at once."""
        net = self.network()
        return net is not None and net.prefixlen < WIDEST[net.version]


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator with evidence, not yet tried.

    ``score`` decays with time (half-life in the settings); ``evidence`` names journal
    entries, the strongest first and at most some dozens; ``count`` is how many there are.
    """

    indicator: Indicator
    score: float
    count: int
    first: int  # ns, of the first evidence
    last: int  # ns, of the newest evidence
    hosts: int  # different peers among the evidence: breadth
    reasons: tuple[str, ...]  # sentences a person can read, safe to print after escaping
    evidence: tuple[str, ...]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A suspect held against genuine mail and the delivery log.

    ``upper`` is the 95 % upper bound on the share of genuine mail that the listing would
    have cost (3 / tried where nothing was hit): zero of few is not zero.
    """

    suspect: Suspect
    tried: int  # genuine messages and deliveries it was held against
    hits: int = 0  # how many of them it would have blocked
    harmed: tuple[str, ...] = ()  # those genuine items, at most some dozens
    protected: str = ""  # why nothing like this may ever be listed: "private", "allow-list"
    sources: tuple[str, ...] = ()  # which archives and logs
    upper: float = 1.0

    @property
    def acquits_genuine_mail(self) -> bool:
        """Tell whether blocking the suspect would have lost no genuine mail."""
        unharmed = not self.hits and not self.harmed
        return self.tried > 0 and unharmed and not self.protected

    @property
    def finding(self) -> str:
        """What came out, as one line that a person can read."""
        if self.protected:
            return f"never to be listed: {self.protected}"
        if not self.tried:
            return "no genuine mail to try it on: configure [genuine]"
        if not self.acquits_genuine_mail:
            return f"would have lost {self.hits} of {self.tried} genuine items: not listed"
        return (
            f"would have lost none of {self.tried} genuine items"
            f" (at most {100 * self.upper:.2g} %, with 95 % confidence)"
        )


class NotProven(TraplineError):  # noqa: N818 - a verdict, not a failure
    """A listing was asked for without a trial that acquitted all genuine mail."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A published decision; only a trial that acquitted all genuine mail makes one."""

    trial: Trial
    case: str  # "T-4F7K2Q", the same for the same indicator and first evidence
    since: int  # ns
    until: int  # ns, 0 = for ever (never made by Trapline itself)
    times: int = 1  # which term this is: how often evidence brought it to court

    def __post_init__(self) -> None:
        if not self.trial.acquits_genuine_mail:
            raise NotProven(f"{self.indicator}: {self.trial.finding}")
        if self.indicator.too_wide():
            raise NotProven(f"{self.indicator}: wider than may ever be listed")
        if not _CASE.fullmatch(self.case):
            raise NotProven(f"{self.case!r} is no case number: it would be printed as it is")

    @property
    def indicator(self) -> Indicator:
        """What is listed."""
        return self.trial.suspect.indicator

    @property
    def network(self) -> Network | None:
        """The addresses listed, or None for a name."""
        return self.indicator.network()

    @property
    def reason(self) -> str:
        """One line for a reply text or a TXT record: ASCII, no line ends, no quotes."""
        return f"Trapline case {self.case}"
