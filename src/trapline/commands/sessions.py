"""List sessions: who came, for how long, and what they did."""

import argparse

from trapline import reading
from trapline.commands import _lines

TITLES = (
    "session", "began", "sensor", "peer", "seconds", "mails", "rcpts", "logins", "end", "helo",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    _lines.list_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the newest sessions, the newest last; 1 where there is none."""
    rows = reading.sessions(args.peer, _lines.since(args), _lines.limit(args, reading.EVERY))
    if args.json:
        _lines.json_lines(rows)
        return 0 if rows else 1
    _lines.table(
        TITLES,
        [
            (
                row["session"], _lines.moment(row["at"]), row["sensor"], row["peer"],
                f"{row['seconds']:.1f}", row["messages"], row["recipients"], row["logins"],
                row["end"], row["helo"],
            )
            for row in rows
        ],
        (18, 20, 12, 24, 7, 5, 5, 6, 8, 40),
    )  # fmt: skip
    return 0 if rows else 1
