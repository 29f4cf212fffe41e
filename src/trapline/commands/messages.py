"""List captured messages."""

import argparse

from trapline import reading
from trapline.commands import _lines
from trapline.safe import wire


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    _lines.list_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the newest messages, the newest last; 1 where there is none."""
    rows = reading.messages_of(args.peer, _lines.since(args), _lines.limit(args, reading.EVERY))
    if args.json:
        _lines.json_lines(rows)
        return 0 if rows else 1
    _lines.table(
        ("id", "caught", "peer", "sender", "rcpts", "octets", "kind", "subject"),
        [
            (
                row["id"], _lines.moment(row["at"]), row["peer"], wire(row["sender"]),
                len(row["recipients"]), row["size"], row["sort"] or "unread",
                row["subject"] or "",
            )
            for row in rows
        ],
        (12, 20, 24, 30, 5, 9, 8, 60),
    )  # fmt: skip
    return 0 if rows else 1
