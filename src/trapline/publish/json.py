"""One JSON document with everything a listing rests on: evidence, trial, term.

ASCII only, so that no text from strangers reaches a terminal or a page raw.
"""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from trapline.listings import Listing
from trapline.publish._order import in_order

FORM: Final = 1  # of the document; grows when a field changes its meaning


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be set."""


def render(listings: Iterable[Listing], _settings: Settings, _now: int) -> str:
    """Return the document, listings sorted, so that equal listings give equal bytes."""
    rows = [row(listing) for listing in in_order(listings)]
    return json.dumps({"trapline": FORM, "listings": rows}, indent=1) + "\n"


def carried(listings: Iterable[Listing]) -> frozenset[str]:
    """Name what of the listings this format can say."""
    return frozenset(str(listing.indicator) for listing in listings)


def listed(text: str) -> frozenset[str]:
    """Read back what a rendered document says."""
    return frozenset(f"{row['kind']} {row['value']}" for row in json.loads(text)["listings"])


def row(listing: Listing) -> dict[str, Any]:
    """Return one listing with all it rests on."""
    suspect, trial = listing.trial.suspect, listing.trial
    return {
        "case": listing.case,
        "kind": str(listing.indicator.kind),
        "value": listing.indicator.value,
        "network": str(listing.network) if listing.network is not None else None,
        "since": instant(listing.since),
        "until": instant(listing.until),
        "times": listing.times,
        "reasons": list(suspect.reasons),
        "evidence": list(suspect.evidence),
        "evidence_count": suspect.count,
        "first": instant(suspect.first),
        "last": instant(suspect.last),
        "trial": {
            "tried": trial.tried,
            "hits": trial.hits,
            "upper": trial.upper,
            "sources": list(trial.sources),
        },
    }


def instant(ns: int) -> str | None:
    """Write a moment as RFC 3339 has it, to the second; None for "for ever"."""
    if not ns:
        return None
    moment = dt.datetime.fromtimestamp(ns // 1_000_000_000, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
