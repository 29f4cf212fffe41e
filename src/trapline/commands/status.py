"""Show sensors, sessions, messages, disk and the last entry."""

import argparse
import json

from trapline import reading
from trapline.commands import _lines
from trapline.safe import text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the state of the whole."""
    status = reading.status()
    if args.json:
        print(json.dumps(status))
        return 0
    running = "running" if status["running"] else "not running"
    if status["workers"]:
        running += f" (workers: {len(status['workers'])})"
    print(f"Trapline is {running}; data in {text(status['home'])}")
    for row in status["sensors"]:
        state = "listening" if row["listening"] else "last listened"
        print(f"  {row['sensor']:16}{state} on {row['address']} as {row['persona']}")
    print(f"sessions  {status['sessions']:,} from {status['peers']:,} addresses")
    print(f"messages  {status['messages']:,}, {_lines.octets(status['octets_offered'])}")
    print(f"logins    {status['logins']:,} tried")
    print(
        f"disk      {_lines.octets(status['disk_free'])} free, "
        f"journal {_lines.octets(status['journal_octets'])}, "
        f"lake {_lines.octets(status['lake_octets'])}"
    )
    if status["refusing"]:
        print("DISK FULL: traps answer 452 and promise nothing; make room")
    last = status["last_entry"]
    print(f"last      {_lines.moment(last) if last else 'nothing fell in yet'}")
    return 0
