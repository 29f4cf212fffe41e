"""Lines: how entries and rows look in a terminal; all foreign text goes through ``safe``."""

import argparse
import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trapline import safe
from trapline.events import (
    AuthTried,
    Entry,
    EnvelopeDropped,
    Greeted,
    JournalShort,
    ListDelivered,
    MailOffered,
    OddHeard,
    SensorStarted,
    SessionClosed,
    SessionRefused,
    TlsStarted,
)


def moment(at: int) -> str:
    """Return a time (ns since 1970) as ``2026-11-23 09:05:07Z``."""
    return f"{dt.datetime.fromtimestamp(at / 1e9, dt.UTC):%Y-%m-%d %H:%M:%SZ}"


def octets(count: int) -> str:
    """Return an amount of octets as a person reads it."""
    size = float(count)
    for unit in ("octets", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "octets" else f"{size:.1f} {unit}"


def of(entry: Entry) -> str:
    """Return one line about an entry: when, where, who, what."""
    stamp = entry.stamp
    who = safe.text(stamp.peer or "-", 45)
    head = f"{moment(stamp.at)[11:19]} {safe.text(stamp.sensor, 16):12} {who:15}"
    return f"{head} {entry.event.__struct_config__.tag:16} {_what(entry)}"


def _what(entry: Entry) -> str:  # noqa: C901, PLR0911 - a line for each kind of fact
    match entry.event:
        case MailOffered() as mail:
            return f"{_envelope(mail)} {octets(mail.size)} [{entry.id}]"
        case EnvelopeDropped() as dropped:
            return f"{_envelope(dropped)} no message ({safe.text(dropped.reason, 20)})"
        case AuthTried() as tried:
            outcome = "let in (bait)" if tried.accepted else "refused"
            return f"{safe.text(tried.mechanism, 12)} {safe.text(tried.user, 60)!r} {outcome}"
        case SessionClosed() as closed:
            return (
                f"{closed.reason} after {closed.seconds:.1f} s, heard {octets(closed.received)}"
            )
        case SessionRefused() as refused:
            return f"{refused.count} over the limit per {refused.limit}"
        case OddHeard() as odd:
            return f"{odd.what} {safe.text(odd.excerpt, 60)!r}"
        case TlsStarted() as tls:
            return f"{tls.version} {tls.cipher} {safe.text(tls.server_name, 60)}"
        case Greeted() as greeted:
            return f"{greeted.verb} {safe.text(greeted.name, 60)}"
        case SensorStarted() as started:
            return f"on {safe.text(started.address, 60)} as {started.persona}"
        case JournalShort() as short:
            state = "answering 452" if short.refusing else "taking mail again"
            return f"{octets(short.free)} free, {octets(short.wanted)} wanted: {state}"
        case ListDelivered() as told:
            trouble = f" TROUBLE {safe.text(told.trouble, 120)}" if told.trouble else ""
            return (
                f"{told.format} {safe.text(told.path, 80)}: {told.listings} listings{trouble}"
            )
        case _:
            return ""


def _envelope(envelope: MailOffered | EnvelopeDropped) -> str:
    first = safe.text(envelope.recipients[0], 60) if envelope.recipients else "nobody"
    more = f" and {len(envelope.recipients) - 1} more" if len(envelope.recipients) > 1 else ""
    return f"<{safe.text(envelope.sender, 60)}> to <{first}>{more}"


def json_lines(rows: Iterable[Mapping[str, Any]]) -> int:
    """Print rows as JSON lines in ASCII, so that no octet acts; return how many."""
    count = 0
    for row in rows:
        print(json.dumps(row))
        count += 1
    return count


def table(
    titles: Sequence[str], rows: Iterable[Sequence[object]], widths: Sequence[int]
) -> None:
    """Print rows under titles; every cell is made safe and cut to its width."""
    for row in (titles, *rows):
        cells = (safe.text(str(c), w) for c, w in zip(row, widths, strict=True))
        line = "  ".join(
            f"{c:>{w}}" if isinstance(v, int) else f"{c:{w}}"
            for c, v, w in zip(cells, row, widths, strict=True)
        )
        print(line.rstrip())


def list_arguments(parser: argparse.ArgumentParser, *, peer: bool = True) -> None:
    """Declare what every list takes."""
    if peer:
        parser.add_argument("--peer", default="", help="only of this address")
    parser.add_argument(
        "--since", type=span, default=0, metavar="7d", help="not older than this"
    )
    parser.add_argument("--limit", type=number, help="rows (50; with --json all)")
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def since(args: argparse.Namespace) -> int:
    """Return the moment (ns) that ``--since`` means."""
    return time.time_ns() - args.since if args.since else 0


def limit(args: argparse.Namespace, every: int) -> int:
    """Return how many rows are wanted."""
    return args.limit if args.limit is not None else every if args.json else 50


def number(words: str) -> int:
    """Read how many rows are wanted."""
    if not (words.isascii() and words.isdigit()):
        raise argparse.ArgumentTypeError("wanted is a number of rows, 0 or more")
    return min(int(words), 2**62)


def span(words: str) -> int:
    """Read a span of time (``90s``, ``30m``, ``12h``, ``7d``) as nanoseconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = words[:-1], words[-1:]
    if unit not in units or not number.isascii() or not number.isdigit():
        raise argparse.ArgumentTypeError("wanted is a span of time: 90s, 30m, 12h, 7d")
    return int(number) * units[unit] * 10**9
