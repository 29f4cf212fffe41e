"""List messages and envelopes that look like relay tests, with what speaks for it."""

import argparse
from collections.abc import Iterator

import msgspec

from trapline import config, journal, reading
from trapline.analysis import probes
from trapline.commands import _lines
from trapline.events import Entry, EnvelopeDropped, MailOffered
from trapline.message import Facts
from trapline.safe import text, wire


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    _lines.list_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the newest probes, the newest last; 1 where there is none."""
    since, limit = _lines.since(args), _lines.limit(args, reading.EVERY)
    found = [p for p in _judged() if p.at >= since and args.peer in ("", p.peer)][-limit:]
    if args.json:
        _lines.json_lines(msgspec.to_builtins(probe) for probe in found)
        return 0 if found else 1
    for probe in found:
        boxes = ", ".join(f"<{text(wire(r), 60)}>" for r in probe.recipients)
        print(f"{probe.entry}  {_lines.moment(probe.at)}  {text(probe.peer, 45)}", end="  ")
        print(f"score {probe.score:.2f}  <{text(wire(probe.sender), 60)}> to {boxes}")
        if probe.subject:
            print(f"    subject {text(probe.subject, 100)!r}")
        print(f"    because: {', '.join(probe.reasons)}")
    return 0 if found else 1


def _judged() -> Iterator[probes.Probe]:
    """Judge all envelopes of the journal in order of time: each bears on those after it."""
    memory, read = probes.Memory(), reading.facts_of_few()
    for entry in journal.read(config.home() / "journal"):
        if isinstance(entry.event, MailOffered | EnvelopeDropped):
            probe = probes.judge(memory, entry, _facts(entry, read))
            if probe:
                yield probe


def _facts(entry: Entry, read: dict[str, Facts]) -> Facts | None:
    """Return what a message says, from the lake or read on the spot."""
    event = entry.event
    if not isinstance(event, MailOffered) or len(event.recipients) > probes.FEW:
        return None
    return read.get(entry.id) or reading.facts_of(entry.id)
