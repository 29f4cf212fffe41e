"""Print the journal's entries, or verify that nobody has touched them."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from trapline import config, journal
from trapline.events import KINDS, Entry
from trapline.safe import text

PAUSE: Final = 0.2  # seconds between two looks when following


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True)
    cat = actions.add_parser("cat", help="print entries as JSON lines, in order of time")
    cat.add_argument("--since", metavar="ID", help="only entries behind this one")
    cat.add_argument("--kind", choices=sorted(KINDS), action="append", help="only this kind")
    cat.add_argument("--follow", action="store_true", help="go on with what comes")
    cat.add_argument("--json", action="store_true", help="as always: JSON lines")
    verify = actions.add_parser("verify", help="check frames, bodies and the hash chain")
    verify.add_argument("--json", action="store_true", help="print one JSON document")
    verify.add_argument(
        "--head",
        metavar="WRITER=HASH",
        action="append",
        default=[],
        type=_head,
        help="a chain head noted earlier, which the journal must still contain",
    )


def run(args: argparse.Namespace) -> int:
    """Do one of both; 1 where there is nothing, or the journal is not as it was."""
    directory = config.home() / "journal"
    return _cat(directory, args) if args.action == "cat" else _verify(directory, args)


def _cat(directory: Path, args: argparse.Namespace) -> int:
    since = journal.after(directory, args.since) if args.since else {}
    kinds, count = set(args.kind or KINDS), 0
    entries = _followed(directory, since) if args.follow else journal.read(directory, since)
    for entry in entries:
        if entry.event.__struct_config__.tag in kinds:
            sys.stdout.write(json.dumps(msgspec.to_builtins(entry)) + "\n")
            count += 1
            if args.follow:
                sys.stdout.flush()
    return 0 if count else 1


def _followed(directory: Path, since: journal.Positions) -> Iterator[Entry]:
    tail = journal.Tail(directory, since)
    while True:
        if entries := tail.poll():
            yield from entries
        else:
            time.sleep(PAUSE)


def _verify(directory: Path, args: argparse.Namespace) -> int:
    report = journal.verify(directory, dict(args.head))
    if args.json:
        print(json.dumps(_document(report)))
    else:
        for segment in report.segments:
            print(_line(segment))
        for writer, met in report.noted.items():
            print(f"noted head of {writer}: {'found' if met else 'NOT FOUND'}")
        for writer, link in report.heads.items():
            print(f"head {writer}={link}")
        print("good" if report.ok else "NOT GOOD")
    return 0 if report.ok else 1


def _document(report: journal.Report) -> dict[str, Any]:
    return dict(msgspec.to_builtins(report))


def _line(segment: journal.SegmentReport) -> str:
    state = "sealed" if segment.sealed else "open"
    line = (
        f"{segment.segment}: {segment.entries} entries, {segment.bodies} bodies, "
        f"{segment.thinned} thinned, {segment.octets} octets, {state}"
    )
    if segment.torn:
        line += f", {segment.torn} octets torn"
    if not segment.chain_ok:
        line += "; CHAIN BROKEN"
    for start, end in segment.damage:
        line += f"; DAMAGE from octet {start} to {end}"
    for trouble in segment.troubles:
        line += f"; TROUBLE {text(trouble, 200)}"
    return line


def _head(word: str) -> tuple[str, str]:
    writer, _, link = word.partition("=")
    if len(link) != 64 or not writer:
        raise argparse.ArgumentTypeError("not WRITER=HASH, as verify prints it")
    return writer, link.lower()
