"""Order: the one way in which listings stand in every format.

Equal lists must give equal bytes.  Must not be in here: what a format looks like.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from trapline.addresses import Network, inside
from trapline.listings import Listing

NOTE = "Written by Trapline; changes are overwritten."


def in_order(listings: Iterable[Listing]) -> list[Listing]:
    """Return addresses by number, IPv4 first, the wider network first; then names."""
    return sorted(listings, key=_place)


def by_address(listings: Iterable[Listing]) -> Iterator[tuple[Network, Listing]]:
    """Yield what is an address or a network, in order; names are no business of theirs."""
    for listing in in_order(listings):
        if (net := listing.network) is not None:
            yield net, listing


def disjoint(listings: Iterable[Listing]) -> Iterator[tuple[Network, Listing]]:
    """Yield the addresses without those that a listed network covers already."""
    outer: Network | None = None
    for net, listing in by_address(listings):
        if outer is None or not inside(net, outer):
            outer = net
            yield net, listing


def short(net: Network) -> str:
    """Write a single address without its prefix length."""
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)


def cidr(text: str) -> str:
    """Write an address or network as ``short`` does, whatever way it was written."""
    return short(ipaddress.ip_network(text, strict=False))


def _place(listing: Listing) -> tuple[bool, int, int, int, str, str]:
    net = listing.network
    if net is None:
        return (True, 0, 0, 0, str(listing.indicator), listing.case)
    return (False, net.version, int(net.network_address), net.prefixlen, "", listing.case)
