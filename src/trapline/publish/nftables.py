"""nftables ruleset: one table of our own, ``inet trapline``, loaded by ``nft -f`` (nft(8)).

A file is one transaction, and it may be loaded again and again: sets and rules are
replaced, the counters stay, no other table is named.  Every element ends by itself, so
that nobody stays blocked when Trapline has stopped.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec

from trapline.listings import Listing
from trapline.publish._order import NOTE, cidr, disjoint, short

SECOND: Final = 1_000_000_000
LONGEST: Final = 365 * 86_400  # seconds: of what has no end of its own
_RULESET: Final = """\
#!/usr/sbin/nft -f
# {note}
add table inet trapline
add counter inet trapline dropped4
add counter inet trapline dropped6
add set inet trapline bad4 {{ type ipv4_addr; flags interval,timeout; }}
add set inet trapline bad6 {{ type ipv6_addr; flags interval,timeout; }}
flush set inet trapline bad4
flush set inet trapline bad6
add chain inet trapline in {{ type filter hook input priority {priority}; policy accept; }}
flush chain inet trapline in
add rule inet trapline in tcp dport {{ {ports} }} ip saddr @bad4 counter name dropped4 drop
add rule inet trapline in tcp dport {{ {ports} }} ip6 saddr @bad6 counter name dropped6 drop
"""
CHECK: Final = ("nft", "-j", "list", "table", "inet", "trapline")  # its output proves us


Port = Annotated[int, msgspec.Meta(ge=1, le=65535, description="a port number (1..65535)")]
Ports = Annotated[tuple[Port, ...], msgspec.Meta(min_length=1, description="a list of ports")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which services are closed to the listed, and when packets meet our chain."""

    ports: Ports = (25, 465, 587)
    priority: int = -150  # before the filter chains of others, which then never see them


def render(listings: Iterable[Listing], settings: Settings, now: int) -> str:
    """Return the ruleset, sorted, so that equal listings at one ``now`` give equal bytes."""
    ports = ", ".join(map(str, sorted(set(settings.ports))))
    bad: dict[int, list[str]] = {4: [], 6: []}
    for net, x in disjoint(listings):
        bad[net.version].append(
            f'  {short(net)} timeout {_seconds(x, now)}s comment "{x.case}"'
        )
    ruleset = _RULESET.format(note=NOTE, ports=ports, priority=settings.priority)
    return ruleset + "".join(_elements(v, rows) for v, rows in bad.items() if rows)


def carried(listings: Iterable[Listing]) -> frozenset[str]:
    """Name what of the listings this format can say."""
    return frozenset(short(net) for net, _ in disjoint(listings))


def listed(text: str) -> frozenset[str]:
    """Read back what a rendered ruleset says."""
    rows = (line.split() for line in text.split("\n") if line.startswith("  "))
    return frozenset(row[0] for row in rows)


def live(output: str) -> frozenset[str]:
    """Read what the kernel holds, from the output of ``CHECK``.

    Raises:
        ValueError: it is not what ``nft -j`` prints.
    """
    return frozenset(
        cidr(_value(element))
        for thing in json.loads(output)["nftables"]
        if (found := thing.get("set")) is not None and found["name"] in ("bad4", "bad6")
        for element in _values(found)
    )


def _elements(version: int, rows: list[str]) -> str:
    return f"add element inet trapline bad{version} {{\n" + ",\n".join(rows) + "\n}\n"


def _values(found: dict[str, Any]) -> Iterator[Any]:
    """Yield the values of a set, without their timeouts and comments."""
    for element in found.get("elem", ()):
        yield element["elem"]["val"] if "elem" in element else element


def _value(element: Any) -> str:  # noqa: ANN401 - JSON
    """Write an element, which is an address or a prefix."""
    if isinstance(element, dict):
        return f"{element['prefix']['addr']}/{element['prefix']['len']}"
    return str(element)


def _seconds(listing: Listing, now: int) -> int:
    """Return how long the element has to last; at least a second, for 0 means for ever."""
    if not listing.until:
        return LONGEST
    return min(LONGEST, max(1, -(-(listing.until - now) // SECOND)))
