"""Start the traps, the journal and the watch wheel, and show what falls in."""

import argparse
import os
import sys
from pathlib import Path

from trapline import config, files, journal
from trapline.commands import _lines
from trapline.errors import TraplineError
from trapline.serve import launch, supervisor

NEXT = """\
In another terminal (with the same TRAPLINE_HOME):
  swaks --server {where} --from spammer@example.org --to victim@example.net
  trapline status | sessions | messages | show ID | probes | suspects | why ADDRESS
Ctrl-C stops it.  Nothing is ever relayed or delivered."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--config", type=Path, help="the operator's file")
    parser.add_argument("--persona", default="", help="whom the relay trap imitates")
    parser.add_argument("--quiet", action="store_true", help="print no line for each entry")
    parser.add_argument("--no-watch", action="store_true", help="run the traps alone")


def run(args: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM; one on a data directory."""
    with files.held(config.held()) as alone:
        if not alone:
            raise TraplineError(f"another `trapline up` runs on {config.home()}")
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    plan = launch.plan(config.load(args.config), args.persona)
    file = config.remember(args.config)
    tail = None if args.quiet else journal.Tail(plan.journal, journal.ends(plan.journal))
    relay: list[str] = []

    def announce(line: str) -> None:
        print(line, flush=True)
        relay.append(line.rpartition(" ")[2])
        if line == "ready":
            print(NEXT.format(where=relay[0]), flush=True)

    def show() -> None:
        for entry in tail.poll() if tail else ():
            print(_lines.of(entry))
        sys.stdout.flush()

    watch = [sys.executable, "-P", "-m", "trapline", "watch"]
    watch += ["--attached", str(os.getpid())]
    watch += ["--config", str(file)] if file else []
    return supervisor.run(
        plan, announce, extra={} if args.no_watch else {"watch": watch}, tick=show
    )
