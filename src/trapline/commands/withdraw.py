"""Take an address, a network or a name off the list, with a reason."""

import argparse
import time

from trapline import config
from trapline.analysis.court import indicated
from trapline.commands import _court, _lines
from trapline.errors import ConfigError
from trapline.events import ListingWithdrawn, Stamp
from trapline.safe import text
from trapline.watch import open_writer

NAMES = ("desk", "desk_2", "desk_3")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    what = "an address, a network, or KIND VALUE as `suspects` shows it"
    parser.add_argument("indicator", nargs="+", help=what)
    parser.add_argument("--reason", required=True, help="for whoever asks later")
    span = "stays off for so long (otherwise for good)"
    parser.add_argument("--for", dest="span", type=_lines.span, metavar="30d", help=span)
    _court.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Record the withdrawal; the watch takes it up with its next turn."""
    indicator = indicated(" ".join(args.indicator))
    if indicator is None:
        want = "an address, a network, or a kind and a value (sender x@y.example)"
        raise ConfigError("indicator", " ".join(args.indicator), want)
    now = time.time_ns()
    event = ListingWithdrawn(
        indicator=str(indicator), reason=args.reason, until=now + args.span if args.span else 0
    )
    writer = open_writer(config.load(args.config), config.home() / "journal", NAMES)
    try:
        entry = writer.append(Stamp(at=now, sensor="desk"), event)
        writer.commit()
    finally:
        writer.close()
    if args.json:
        row = {"id": entry, "indicator": event.indicator, "until": event.until}
        _lines.json_lines([row | {"reason": event.reason}])
    else:
        until = f"until {_lines.moment(event.until)}" if event.until else "for good"
        print(f"{_court.indicator(indicator)} is withdrawn {until}: {text(args.reason)}")
    return 0
