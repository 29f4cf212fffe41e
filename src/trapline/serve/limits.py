"""Limits: whom to let in, and a count of those who were not.

Connections are counted by peer, by network (/24 or /64) and in all; new ones by peer and
minute.  The tables hold an entry for each open connection and one for each peer of the
present minute, both bounded, so that no flood of addresses fills the memory.

Must not be in here: sockets, clocks.
"""

import functools
import ipaddress
from typing import Final

from trapline.events import SessionRefused
from trapline.serve.plan import Limits

NEWCOMERS: Final = 100_000  # peers of one minute that are told apart
TOLD: Final = 1000  # networks whose refusals are told apart until they are reported
REPORT: Final = 5.0  # seconds of refusals that one event tells of
OTHERS: Final = ""
AT_HAND: Final = 4096  # peers whose network is remembered, from their coming to their going


@functools.lru_cache(AT_HAND)
def network(address: str) -> str:
    """Return the /24 or /64 that an address belongs to."""
    if ":" not in address:
        return address.rpartition(".")[0] + ".0/24"
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))


class Guests:
    """Who is in; ``limits`` are this worker's share."""

    __slots__ = ("_limits", "_minute", "_networks", "_newcomers", "_peers", "refused", "total")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: dict[str, int] = {}
        self._networks: dict[str, int] = {}
        self._newcomers: dict[str, int] = {}
        self._minute = 0
        self.total = 0
        self.refused = Refusals()

    def enter(self, address: str, now: float) -> str:
        """Let a peer in and return "", or return the limit it meets."""
        limits, near = self._limits, network(address)
        peers, networks = self._peers.get(address, 0), self._networks.get(near, 0)
        if self.total >= limits.total:
            met = "total"
        elif peers >= limits.per_peer or self._in_haste(address, now):
            met = "peer"
        elif networks >= limits.per_network:
            met = "network"
        else:
            self._peers[address], self._networks[near] = peers + 1, networks + 1
            self.total += 1
            return ""
        self.refused.add(near, met, now)
        return met

    def leave(self, address: str) -> None:
        """Forget a peer that was let in."""
        self.total -= 1
        _less(self._peers, address)
        _less(self._networks, network(address))

    def _in_haste(self, address: str, now: float) -> bool:
        """Count a new connection; tell whether the peer makes too many a minute."""
        if self._minute != (minute := int(now // 60)):
            self._minute = minute
            self._newcomers.clear()
        if address not in self._newcomers and len(self._newcomers) >= NEWCOMERS:
            address = OTHERS  # they are let in as one: a flood is told by its number
            return False
        count = self._newcomers[address] = self._newcomers.get(address, 0) + 1
        return count > self._limits.per_peer_minute


class Refusals:
    """Refused connections, gathered: one event a network, limit and few seconds."""

    __slots__ = ("_counts", "since")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self.since = 0.0  # when the first that was not reported came; 0 = none

    def add(self, near: str, limit: str, now: float) -> None:
        """Count one."""
        self.since = self.since or now
        key = (near, limit)
        if key not in self._counts and len(self._counts) >= TOLD:
            key = (OTHERS, limit)
        self._counts[key] = self._counts.get(key, 0) + 1

    def report(self, now: float) -> list[tuple[str, SessionRefused]]:
        """Return what is to be recorded, by network ("" = many others), and begin anew."""
        seconds = max(0.0, now - self.since)
        found = [
            (near, SessionRefused(limit=limit, count=count, seconds=seconds))
            for (near, limit), count in self._counts.items()
        ]
        self._counts.clear()
        self.since = 0.0
        return found


def _less(table: dict[str, int], key: str) -> None:
    """Take one away, and the entry with the last."""
    if (count := table.get(key, 0)) > 1:
        table[key] = count - 1
    else:
        table.pop(key, None)
