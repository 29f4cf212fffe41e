"""Addresses: space that belongs to nobody in particular, so nobody there can be blamed.

Two tables, one per version of IP, after IANA's registries of special-purpose addresses.
IPv6 space that wraps an IPv4 address (mapped, NAT64, 6to4, Teredo) is reserved as a whole:
what is seen there belongs to a translator, or is forged.

Must not be in here: whom the operator protects (``analysis/trial.py``).
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA, "IPv4 Special-Purpose Address Registry" (RFC 6890) and "IPv4 Multicast".
_IPV4: Final = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier's NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, broadcast",
}

# IANA, "IPv6 Special-Purpose Address Registry"; only 2000::/3 is global unicast at all.
_IPV6: Final = {
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard-only",
    "2001::/32": "Teredo",
    "2001::/23": "protocol assignments",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
    "::/3": "not global unicast",
    "4000::/2": "not global unicast",
    "8000::/1": "not global unicast",
}

_TABLES: Final = {
    4: [(ipaddress.ip_network(net), name) for net, name in _IPV4.items()],
    6: [(ipaddress.ip_network(net), name) for net, name in _IPV6.items()],
}

DOCUMENTATION: Final = tuple(
    net for table in _TABLES.values() for net, name in table if name == "documentation"
)


def network(text: str) -> Network | None:
    """Return the network or address meant, or None where the text is neither."""
    try:
        return ipaddress.ip_network(text.strip(" \t[]"), strict=False)
    except ValueError:
        return None


def reserved(net: Network, freed: Iterable[Network] = ()) -> str:
    """Name the reserved space that a network touches; "" where it touches none.

    Args:
        net: the network or address in question.
        freed: documentation networks that count as ordinary, for a demonstration;
            whatever else is named there stays reserved.
    """
    if any(inside(net, free) and documentation(free) for free in freed):
        return ""
    return next((name for space, name in _TABLES[net.version] if net.overlaps(space)), "")


def documentation(net: Network) -> bool:
    """Tell whether a network lies wholly in space kept for documentation."""
    return any(inside(net, space) for space in DOCUMENTATION)


def inside(net: Network, outer: Network) -> bool:
    """Tell whether all of a network lies in another, whatever their versions."""
    if isinstance(net, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return net.subnet_of(outer)
    if isinstance(net, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return net.subnet_of(outer)
    return False


def on_this_machine(address: str) -> bool:
    """Tell whether an address is a socket's path, or a port of the loopback."""
    host, _, port = address.rpartition(":")
    try:
        near = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return address.startswith("/")
    return near and port.isdigit()
