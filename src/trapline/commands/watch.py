"""Read the journal, try suspects and publish what is proven, turn after turn."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from trapline import config
from trapline.analysis.court import Verdicts
from trapline.commands import _court
from trapline.errors import TraplineError
from trapline.safe import text
from trapline.watch import SECOND, WATERMARK, Turn, Wheel


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--config", type=Path, help="the operator's file")
    parser.add_argument("--once", action="store_true", help="bring all up to date and end")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between turns")
    parser.add_argument("--json", action="store_true", help="print a JSON line for each turn")
    attached = "end when this process, which started it, does"
    parser.add_argument("--attached", type=int, metavar="PID", help=attached)


def run(args: argparse.Namespace) -> int:
    """Turn the wheel until told to stop; 1 where a delivery of the only turn failed."""
    with Wheel(config.load(args.config), config.home(), time.time_ns) as wheel:
        if args.once:
            return _once(wheel, as_json=args.json)
        _for_ever(wheel, args)
    return 0


def _for_ever(wheel: Wheel, args: argparse.Namespace) -> None:
    """Turn until a signal asks for the end; a turn that fails is told and tried again."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set() and args.attached in (None, os.getppid()):
        try:
            turn = wheel.turn(time.time_ns())
            _show(turn, as_json=args.json)
            if turn.behind:
                continue
        except (TraplineError, OSError) as trouble:
            print(f"watch: {text(str(trouble), 1000)}", file=sys.stderr, flush=True)
        stop.wait(max(0.1, args.interval))


def _once(wheel: Wheel, *, as_json: bool) -> int:
    """Take even what fell in this moment: wait until it is past the watermark."""
    began, failed, turn = time.time_ns(), False, Turn(behind=True)
    while turn.behind or (turn.waiting and time.time_ns() < began + 2 * WATERMARK):
        if not turn.behind:
            time.sleep(max(0.0, (began + WATERMARK - time.time_ns()) / SECOND) + 0.05)
        turn = wheel.turn(time.time_ns())
        _show(turn, as_json=as_json)
        failed = failed or any(done.trouble for done in turn.deliveries)
    return 1 if failed else 0


def _show(turn: Turn, *, as_json: bool) -> None:
    for line in [_json(turn)] if as_json else _lines(turn):
        print(line, flush=True)


def _lines(turn: Turn) -> Iterator[str]:
    """Yield what changed; a turn without news is silent."""
    if turn.behind:
        yield f"watch: catching up, {turn.taken:,} entries more"
    yield from (f"watch: {note}" for note in turn.notes)
    if turn.news:
        yield _summary(turn)
    yield from (f"watch: {done}" for done in turn.deliveries)


def _summary(turn: Turn) -> str:
    verdicts = turn.verdicts or Verdicts()
    line = f"watch: {turn.taken} new entries, {len(verdicts.listings)} listed"
    if verdicts.refused:
        first = verdicts.refused[0]
        line += (
            f", {len(verdicts.refused)} not acquitted"
            f" ({_court.indicator(first.suspect.indicator)}: {text(first.finding, 160)})"
        )
    return line


def _json(turn: Turn) -> str:
    verdicts = turn.verdicts
    return json.dumps(
        {
            "taken": turn.taken,
            "behind": turn.behind,
            "waiting": turn.waiting,
            "news": turn.news,
            "listings": None if verdicts is None else len(verdicts.listings),
            "refused": None if verdicts is None else len(verdicts.refused),
            "genuine": turn.tried_on,
            "deliveries": [str(done) for done in turn.deliveries],
            "notes": list(turn.notes),
        }
    )
