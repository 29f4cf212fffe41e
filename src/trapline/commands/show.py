"""Show one message, entry or session; --raw writes the captured octets."""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from trapline import reading, safe
from trapline.commands import _lines
from trapline.errors import NoEntry, TraplineError
from trapline.events import Entry, MailOffered, SessionClosed

HEADERS = 200  # lines of headers shown


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("id", help="entry id (0-1-17) or session id")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--raw", action="store_true", help="write the captured octets to stdout")
    shape.add_argument("--eml", type=Path, metavar="FILE", help="write them to a new file")
    shape.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print, or write out, what was caught; 1 where there is nothing of that name."""
    try:
        entry, octets = reading.entry(args.id)
    except NoEntry:
        if args.raw or args.eml:
            raise
        return _session(args.id, as_json=args.json)
    if args.raw or args.eml:
        if octets is None or not isinstance(entry.event, MailOffered):
            raise TraplineError(f"{entry.id}: no octets are kept with this entry")
        return _written(octets, args.eml)
    if args.json:
        facts = msgspec.to_builtins(reading.facts_of(entry.id))
        print(json.dumps({**msgspec.to_builtins(entry), "facts": facts}))
    else:
        _entry(entry, octets)
    return 0


def _written(octets: bytes, file: Path | None) -> int:
    """Write the octets, exact to the last one."""
    if file is None:
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
        return 0
    try:
        with file.open("xb") as new:  # never over a file that is there
            new.write(octets)
    except OSError as trouble:
        raise TraplineError(f"{file}: {trouble.strerror}") from None
    return 0


def _entry(entry: Entry, octets: bytes | None) -> None:
    """Print an entry: its stamp, its fields, and the head of its message."""
    stamp = entry.stamp
    print(f"entry      {entry.id}  {entry.event.__struct_config__.tag}")
    print(f"when       {_lines.moment(stamp.at)}")
    print(f"sensor     {safe.text(stamp.sensor)}  session {safe.text(stamp.session or '-')}")
    if stamp.peer:
        print(
            f"peer       {safe.text(stamp.peer)} port {stamp.port} -> {safe.text(stamp.local)}"
        )
    for name, value in msgspec.to_builtins(entry.event).items():
        if name not in ("kind", "dialogue") and value not in ("", (), None):
            shown = ", ".join(map(safe.wire, value)) if isinstance(value, tuple) else str(value)
            print(f"{name:11}{safe.text(safe.wire(shown), 500)}")
    if isinstance(entry.event, SessionClosed):
        _dialogue(entry.event)
    if isinstance(entry.event, MailOffered):
        _message(entry, octets)


def _message(entry: Entry, octets: bytes | None) -> None:
    """Print what the message says and its headers."""
    facts = reading.facts_of(entry.id)
    if octets is None or facts is None:
        print("body       given up to keep the quota; its facts stay")
        return
    print(f"kind       {facts.sort}: {safe.text(facts.why)}")
    print(f"origin     {safe.text(facts.origin or '-')}")
    for url in facts.urls[:20]:
        print(f"url        {safe.url(url)}")
    for part in facts.attachments[:20]:
        name, kind = safe.text(part.name), safe.text(part.type)
        print(f"attached   {name} {kind} {part.size} octets {part.sha256}")
    for defect in facts.defects:
        print(f"defect     {safe.text(defect)}")
    print()
    head, _, _ = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.split(b"\n")
    for line in lines[:HEADERS]:
        print(f"  {safe.text(safe.wire(line.decode('latin-1')), 500)}")
    if len(lines) > HEADERS:
        print(f"  ({len(lines) - HEADERS} more lines of headers)")


def _session(name: str, *, as_json: bool) -> int:
    """Print all that a session left, its dialogue last."""
    entries = reading.entries_of_session(name)
    if as_json:
        print(json.dumps([msgspec.to_builtins(entry) for entry in entries]))
        return 0
    for entry in entries:
        print(f"{entry.id:14}{_lines.of(entry)}")
    for entry in entries:
        if isinstance(entry.event, SessionClosed):
            _dialogue(entry.event)
    return 0


def _dialogue(closed: SessionClosed) -> None:
    """Print what was said, with milliseconds since the session began."""
    print()
    for ms, who, said in closed.dialogue:
        if who == "M":
            print(f"{ms:8} C: ({said} octets of message)")
            continue
        for line in said.removesuffix("\n").removesuffix("\r").split("\n"):
            print(f"{ms:8} {who}: {safe.text(safe.wire(line.removesuffix(chr(13))), 500)}")
    if closed.unsaid:
        print(f"         ({closed.unsaid} octets of the session are not in the dialogue)")
