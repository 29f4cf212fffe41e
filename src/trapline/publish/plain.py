"""Plain text: one address or network a line, then names as ``KIND VALUE``; no comments.

Whatever reads lines can use it.  Addresses hold no space and names always do.
"""

from collections.abc import Iterable

import msgspec

from trapline.listings import Listing
from trapline.publish._order import in_order, short
from trapline.safe import text as safe


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be set."""


def render(listings: Iterable[Listing], _settings: Settings, _now: int) -> str:
    """Return the list, sorted, so that equal listings give equal bytes."""
    return "".join(f"{_line(listing)}\n" for listing in in_order(listings))


def carried(listings: Iterable[Listing]) -> frozenset[str]:
    """Name what of the listings this format can say."""
    return frozenset(map(_line, listings))


def listed(text: str) -> frozenset[str]:
    """Read back what a rendered list says."""
    return frozenset(text.split("\n")) - {""}


def _line(listing: Listing) -> str:
    if (net := listing.network) is not None:
        return short(net)
    return f"{listing.indicator.kind} {safe(listing.indicator.value, 2000)}"
