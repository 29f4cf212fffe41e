"""Postfix ``cidr:`` table for ``check_client_access`` and postscreen (cidr_table(5)).

The wider network stands first and wins; host bits are never set, for Postfix would skip
such a line with no more than a warning.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from trapline.listings import Listing
from trapline.publish._order import NOTE, by_address, cidr, short


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Postfix does with a listed client."""

    action: Literal["REJECT", "DEFER", "HOLD", "WARN"] = "REJECT"


def render(listings: Iterable[Listing], settings: Settings, _now: int) -> str:
    """Return the table, sorted, so that equal listings give equal bytes."""
    rows = (f"{net}\t{settings.action} {x.reason}\n" for net, x in by_address(listings))
    return f"# {NOTE}\n" + "".join(rows)


def carried(listings: Iterable[Listing]) -> frozenset[str]:
    """Name what of the listings this format can say."""
    return frozenset(short(net) for net, _ in by_address(listings))


def listed(text: str) -> frozenset[str]:
    """Read back what a rendered table says."""
    rows = (line.partition("\t")[0] for line in text.split("\n") if line[:1] not in ("", "#"))
    return frozenset(map(cidr, rows))
