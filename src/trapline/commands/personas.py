"""List the servers that a trap can pretend to be."""

import argparse

import msgspec

from trapline import rooms
from trapline.commands import _lines


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: argparse.Namespace) -> int:
    """Print each persona's name, what it imitates and where that was measured."""
    found = list(rooms.personas().values())
    if args.json:
        fields = ("name", "software", "aliases", "source", "extensions")
        rows = map(msgspec.to_builtins, found)
        _lines.json_lines({field: row[field] for field in fields} for row in rows)
        return 0
    _lines.table(
        ("name", "software", "measured on"),
        [(one.name, one.software, one.source) for one in found],
        (14, 28, 90),
    )
    return 0
