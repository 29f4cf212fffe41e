"""Show the whole chain of evidence for one address, network, name or case number."""

import argparse
import json
from typing import Any

from trapline import reading
from trapline.addresses import network
from trapline.analysis import headers, overview
from trapline.commands import _court, _lines
from trapline.inquiry import Inquiry
from trapline.listings import Indicator, Kind, Listing, Suspect
from trapline.safe import text, wire

SHOWN = 20  # sessions and messages, the newest


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("what", nargs="+", help="192.0.2.7, 192.0.2.0/24, sender x@y, T-4F7K2Q")
    _court.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is known, from the sessions to the delivered list; 1 where nothing is."""
    what = " ".join(args.what)
    asked = _court.inquiry(args)
    listings = {x.indicator: x for x in asked.verdicts().listings}
    known = asked.known_as(what)
    peer = _peer(what, known)
    sessions, messages = _caught(asked, peer, known)
    if sessions and not known:  # evidence is not even kept against whom the court spares
        known = [Indicator(Kind.HOST, peer)]
    found = [_about(asked, one, listings) for one in known]
    if not (found or sessions or messages):
        if args.json:
            print(json.dumps({"asked": what, "known": False}))
        else:
            print(f"nothing is known of {text(what)}")
        return 1
    since = min((listings[one].since for one in known if one in listings), default=0)
    delivered = [row for row in _delivered() if row["at"] >= since > 0]
    if args.json:
        document = {"asked": what, "known": True, "indicators": [row for row, _ in found]}
        more = {"sessions": sessions, "messages": messages, "delivered": delivered}
        print(json.dumps(document | more))
        return 0
    _print(sessions, messages)
    for _, lines in found:
        print("\n".join(lines))
    for row in delivered:
        how = "would be delivered (dry run)" if row["dry_run"] else "delivered"
        state = f"NOT DELIVERED: {text(row['trouble'], 200)}" if row["trouble"] else how
        print(f"{_lines.moment(row['at'])} {row['format']} {text(row['path'])}: {state}")
    return 0


def _peer(what: str, known: list[Indicator]) -> str:
    """Return the address whose sessions are asked for."""
    if (net := network(what)) is not None and net.num_addresses == 1:
        return headers.canonical(str(net.network_address))
    return next((one.value for one in known if one.kind is Kind.HOST), "")


def _caught(
    asked: Inquiry, peer: str, known: list[Indicator]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the sessions of a peer, and its messages or those that are the evidence."""
    if peer:
        return reading.sessions(peer), reading.messages_of(peer)
    suspects = filter(None, map(asked.suspect, known))
    ids = {name for suspect in suspects for name in suspect.evidence}
    return [], [row for row in reading.messages_of() if row["id"] in ids] if ids else []


def _about(
    asked: Inquiry, one: Indicator, listings: dict[Indicator, Listing]
) -> tuple[dict[str, Any], list[str]]:
    """Return what stands against one indicator, as a row and as lines."""
    record = asked.record(one)
    suspect = asked.suspect(one) or (record.suspect if record is not None else _nobody(one))
    trial = asked.hold(suspect)
    stands = (trial, listings.get(one), record, asked.bar(one))
    lines = [f"{_court.indicator(one)}  score {suspect.score:.2f}"]
    lines += _court.trial_lines(trial)
    if record is not None:
        lines.append(f"case {record.case}, opened {_lines.moment(record.since)}")
    lines += filter(None, [_court.standing(*stands) or asked.short_of_trial(trial)])
    if suspect.evidence:
        lines.append(f"evidence: {' '.join(suspect.evidence)}")
    lines[1:] = [f"    {line}" for line in lines[1:]]
    return _court.row(*stands), lines


def _nobody(one: Indicator) -> Suspect:
    """Return a suspect against whom too little stands, so that it can still be tried."""
    return Suspect(
        indicator=one, score=0.0, count=0, first=0, last=0, hosts=0, reasons=(), evidence=()
    )


def _print(sessions: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
    if sessions:
        print(f"{len(sessions):,} sessions")
    for row in sessions[-SHOWN:]:
        print(
            f"    {_lines.moment(row['at'])} {row['session']} at {text(row['sensor'], 20)}:"
            f" {row['messages']} messages, {row['logins']} logins, HELO"
            f" {text(wire(row['helo']), 60)}, ended: {text(row['end'], 20)}"
        )
    if messages:
        print(f"{len(messages):,} messages")
    for row in messages[-SHOWN:]:
        print(
            f"    {_lines.moment(row['at'])} {row['id']} <{text(wire(row['sender']), 60)}>"
            f" to {len(row['recipients'])}: {text(row['subject'] or '', 70)!r}"
            f" ({row['sort'] or 'unread'}: {text(row['why'] or '', 60)})"
        )


def _delivered() -> list[dict[str, Any]]:
    """Return the newest word about each file."""
    with reading.lake() as opened:
        rows = opened.query(overview.DELIVERED)
    return [{"at": at, **json.loads(event)} for at, event in rows]
