"""List who and what is met most: peers, senders, domains, recipients, HELO names, subjects."""

import argparse
import csv
import sys

from trapline import reading
from trapline.analysis import stats
from trapline.commands import _lines
from trapline.safe import csv_cell, defang, wire


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--by", choices=sorted(stats.TOP), default="peer", help="what to count")
    parser.add_argument("--csv", action="store_true", help="print CSV, fit for a spreadsheet")
    _lines.list_arguments(parser, peer=False)


def run(args: argparse.Namespace) -> int:
    """Print the most frequent first; 1 where there is nothing."""
    most = args.limit if args.limit is not None else 1000 if args.json or args.csv else 20
    with reading.lake() as lake:
        found = lake.query(stats.TOP[args.by], (_lines.since(args), most))
    rows = [dict(zip(stats.COLUMNS, row, strict=True)) for row in found]
    if args.json:
        _lines.json_lines(rows)
    elif args.csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(stats.COLUMNS)
        table.writerows([_cell(v) for v in row.values()] for row in rows)
    else:
        for row in rows:
            row["value"] = defang(row["value"]) if args.by == "url" else wire(row["value"])
            row |= {at: _lines.moment(row[at]) for at in ("first", "last")}
        _lines.table(
            (args.by, "messages", "rcpts", "peers", "first", "last"),
            [tuple(row.values()) for row in rows],
            (60, 9, 9, 7, 20, 20),
        )
    return 0 if rows else 1


def _cell(value: object) -> object:
    return csv_cell(wire(value)) if isinstance(value, str) else value
