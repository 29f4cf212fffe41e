"""rbldnsd ``combined`` zone: IPv4 and IPv6 tries, and names in a sub-zone (rbldnsd(8)).

    rbldnsd -n -b 127.0.0.1/53 bl.example:combined:trapline.rbl

Holds the test entries of RFC 5782 section 5.  After ``stale_days`` without a new file
rbldnsd refuses to answer from it: nobody stays blocked when Trapline has stopped.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec

from trapline.listings import Kind, Listing
from trapline.publish._order import NOTE, by_address, cidr, in_order, short

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,250}$"
_HOST: Final = re.compile(
    r"(?=.{1,200}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}"
)
_NAMES: Final = (Kind.DOMAIN, Kind.URL)

Name = Annotated[str, msgspec.Meta(pattern=_NAME, description="a host name")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the zone says of itself."""

    nameserver: Name = "localhost"
    contact: Name = "hostmaster.localhost"
    ttl: Annotated[int, msgspec.Meta(ge=1, le=86_400, description="seconds (1..86400)")] = 300
    names: Name = "names"  # the sub-zone for domains and URL hosts
    stale_days: Annotated[int, msgspec.Meta(ge=1, le=365, description="days (1..365)")] = 2


def render(listings: Iterable[Listing], settings: Settings, now: int) -> str:
    """Return the zone, sorted, so that equal listings at one ``now`` give equal bytes."""
    listings = list(listings)
    addresses = list(by_address(listings))
    lines = [
        f"# {NOTE}",
        # Serial 0 is the newest time of the files: it grows by itself.
        f"$SOA {settings.ttl} {settings.nameserver} {settings.contact} 0 1h 10m 1w 5m",
        f"$NS {settings.ttl} {settings.nameserver}",
        f"$TTL {settings.ttl}",
        *_stale(settings, now),
        "$DATASET ip4trie:v4 @",
        "127.0.0.2 :127.0.0.2:Trapline test entry",
        *(f"{short(net)} {_answer(x)}" for net, x in addresses if net.version == 4),
        "$DATASET ip6trie:v6 @",
        "::ffff:7f00:2 :127.0.0.2:Trapline test entry",
        *(f"{short(net)} {_answer(x)}" for net, x in addresses if net.version == 6),
        f"$DATASET dnset:names {settings.names}",
        "test :127.0.0.2:Trapline test entry",
        *(f".{name} {_answer(x)}" for name, x in _by_name(listings)),
    ]
    return "\n".join(lines) + "\n"


def carried(listings: Iterable[Listing]) -> frozenset[str]:
    """Name what of the listings this format can say."""
    listings = list(listings)
    addresses = (short(net) for net, _ in by_address(listings))
    return frozenset((*addresses, *(f".{name}" for name, _ in _by_name(listings))))


def listed(text: str) -> frozenset[str]:
    """Read back what a rendered zone says, the test entries left out."""
    rows = (line.partition(" ") for line in text.split("\n") if line[:1] not in ("", "#", "$"))
    found = (key for key, _, answer in rows if "test entry" not in answer)
    return frozenset(key if key.startswith(".") else cidr(key) for key in found)


def _by_name(listings: Iterable[Listing]) -> Iterator[tuple[str, Listing]]:
    """Yield listed host names, each once; what is no host name cannot be asked for."""
    seen = set[str]()
    for listing in in_order(listings):
        name = listing.indicator.value.lower().rstrip(".")
        if listing.indicator.kind in _NAMES and _HOST.fullmatch(name) and name not in seen:
            seen.add(name)
            yield name, listing


def _answer(listing: Listing) -> str:
    return f":127.0.0.2:{listing.reason}"


def _stale(settings: Settings, now: int) -> list[str]:
    """Return the line that makes rbldnsd fall silent when nobody writes any more."""
    if not now:
        return []
    moment = dt.datetime.fromtimestamp(now // 1_000_000_000, dt.UTC)
    return [f"$TIMESTAMP {moment:%Y:%m:%d:%H:%M} +{settings.stale_days}d"]
