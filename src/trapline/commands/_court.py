"""Court: how suspects, trials and listings look; all foreign text goes through ``safe``."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trapline import config, safe
from trapline.analysis.court import EVER, Bar, Record, Verdicts
from trapline.commands import _lines
from trapline.inquiry import Inquiry
from trapline.listings import Indicator, Kind, Listing, Trial

UNTRIED = "nothing is listed: no genuine mail to try anybody on: configure [genuine]"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what all these commands take."""
    parser.add_argument("--config", type=Path, help="the operator's file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def inquiry(args: argparse.Namespace) -> Inquiry:
    """Ask where everybody stands."""
    return Inquiry(config.load(args.config), config.home(), time.time_ns())


def indicator(one: Indicator) -> str:
    """Return an indicator on one line; names of strangers are no links."""
    value = safe.url(one.value) if one.kind is Kind.URL else safe.text(one.value, 200)
    return f"{one.kind} {value}"


def standing(
    trial: Trial, listing: Listing | None, record: Record | None, bar: Bar | None
) -> str:
    """Say in one line what came of a suspect."""
    if bar is not None:
        until = "for good" if bar.until == EVER else f"until {_lines.moment(bar.until)}"
        return f"withdrawn {until}: {safe.text(bar.reason, 200)}"
    if listing is not None:
        return f"listed as {listing.case} until {_lines.moment(listing.until)}" + (
            f", for the {_ordinal(listing.times)} time" if listing.times > 1 else ""
        )
    if record is not None and not trial.acquits_genuine_mail:
        return "not listed: the trial did not acquit all genuine mail"
    if record is not None:
        return f"was listed as {record.case} until {_lines.moment(record.until)}"
    return ""


def trial_lines(trial: Trial) -> Iterator[str]:
    """Yield the reasons, the trial's figures and what was harmed."""
    for reason in trial.suspect.reasons:
        yield safe.text(reason, 300)
    yield f"trial: {safe.text(trial.finding, 300)}"
    for item in trial.harmed[:5]:
        yield f"  would have lost {safe.text(item, 200)}"
    if trial.hits > 5:
        yield f"  and {trial.hits - 5:,} more"


def row(
    trial: Trial, listing: Listing | None, record: Record | None, bar: Bar | None
) -> dict[str, Any]:
    """Return all there is about one suspect, for JSON."""
    suspect = trial.suspect
    return {
        "kind": str(suspect.indicator.kind),
        "value": suspect.indicator.value,
        "score": suspect.score,
        "count": suspect.count,
        "hosts": suspect.hosts,
        "first": suspect.first,
        "last": suspect.last,
        "reasons": list(suspect.reasons),
        "evidence": list(suspect.evidence),
        "trial": {
            "tried": trial.tried,
            "hits": trial.hits,
            "harmed": list(trial.harmed),
            "protected": trial.protected,
            "upper": trial.upper,
            "sources": list(trial.sources),
            "acquits": trial.acquits_genuine_mail,
            "finding": trial.finding,
        },
        "listed": listing is not None,
        "case": record.case if record is not None else None,
        "since": record.since if record is not None else None,
        "until": record.until if record is not None else None,
        "times": record.times if record is not None else 0,
        "withdrawn": None if bar is None else {"until": bar.until, "reason": bar.reason},
    }


def why_empty(asked: Inquiry, verdicts: Verdicts) -> str:
    """Say why a list is empty; "" where it is not."""
    if verdicts.listings:
        return ""
    if not asked.genuine.items:
        return UNTRIED
    if verdicts.refused:
        first = verdicts.refused[0]
        return (
            f"nothing is listed: {len(verdicts.refused)} suspects over the threshold, none"
            f" acquitted; {indicator(first.suspect.indicator)}: {safe.text(first.finding, 200)}"
        )
    why = "nothing is listed: nobody's evidence reaches the threshold"
    for best in asked.suspects()[:1]:
        why += f"; the strongest: {indicator(best.indicator)} with {best.score:.2f}"
    return why


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if number % 100 in (11, 12, 13) else ends.get(number % 10, "th")
    return f"{number}{end}"
