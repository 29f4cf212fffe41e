"""Show who is suspected, why, and what a listing would have cost."""

import argparse
import sys

from trapline.commands import _court, _lines
from trapline.listings import Kind

SHOWN = 20  # the strongest


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--kind", choices=list(Kind), help="only this kind of indicator")
    parser.add_argument("--all", action="store_true", help=f"not only the {SHOWN} strongest")
    _court.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print suspects, the strongest first; 1 where there is nobody."""
    asked = _court.inquiry(args)
    listings = {x.indicator: x for x in asked.verdicts().listings}
    found = [s for s in asked.suspects() if args.kind in (None, s.indicator.kind)]
    shown = found if args.all or args.json else found[:SHOWN]
    for trial in map(asked.hold, shown):
        one = trial.suspect.indicator
        stands = (trial, listings.get(one), asked.record(one), asked.bar(one))
        if args.json:
            _lines.json_lines([_court.row(*stands)])
            continue
        print(f"{_court.indicator(one)}  score {trial.suspect.score:.2f}")
        for line in filter(None, (*_court.trial_lines(trial), _court.standing(*stands))):
            print(f"    {line}")
    if len(shown) < len(found):
        print(f"{len(found) - len(shown):,} weaker ones: --all shows them", file=sys.stderr)
    for note in asked.library.notes:
        print(f"genuine mail: {note}", file=sys.stderr)
    if found and not asked.genuine.items:
        print(_court.UNTRIED, file=sys.stderr)
    return 0 if found else 1
