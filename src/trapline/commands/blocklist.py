"""Print the proven list: what may be blocked without losing genuine mail."""

import argparse
import sys
from pathlib import Path

from trapline import config, files, rooms
from trapline.commands import _court
from trapline.watch import HOUR


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    formats = rooms.names("publish")
    parser.add_argument("--format", choices=formats, default="plain", help="plain by default")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there, whole")
    _court.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the list as of now; an empty list is a list, and the reason is on stderr."""
    name = "json" if args.json else args.format
    form, asked = rooms.find("publish", name), _court.inquiry(args)
    verdicts = asked.verdicts()
    text = form.render(
        verdicts.listings, _settings(config.load(args.config), name), asked.now // HOUR * HOUR
    )
    if args.output:
        files.write(args.output.absolute(), text.encode("utf-8"))
    else:
        sys.stdout.write(text)
    if why := _court.why_empty(asked, verdicts):
        print(why, file=sys.stderr)
    if verdicts.crowded_out:
        print(f"{verdicts.crowded_out:,} more than court.max_listings", file=sys.stderr)
    return 0


def _settings(loaded: config.Config, name: str) -> object:
    """Return the settings of the first [[publish]] of this format, or the default ones."""
    for at, target in enumerate(loaded.publish):
        if target.kind == name:
            return loaded.settings[f"publish[{at}]"]
    return rooms.find("publish", name).Settings()
