"""Sample: one list for every format, with hosts, networks, names and hostile text."""

import msgspec

from trapline.analysis.court import DAY, number
from trapline.analysis.trial import Allow, Genuine, Item, hold
from trapline.listings import Indicator, Kind, Listing, Suspect

NOW = 20_000 * DAY
HAM = Genuine(
    [
        Item(
            name="ham.mbox#1",
            source="ham.mbox",
            peers=("8.8.4.4",),
            helos=("mx",),
            senders=("a@b.example",),
            subjects=("hello",),
            recipients=("c@d.example",),
            urls=("b.example",),
        )
    ],
    Allow(),
)


def listing(kind: Kind, value: str, days: float = 7, first: int = 5) -> Listing:
    """Return a listing of one indicator that lasts so many days from NOW."""
    indicator = Indicator(kind, value)
    suspect = Suspect(
        indicator=indicator,
        score=2.5,
        count=40,
        first=first * DAY,
        last=NOW - DAY,
        hosts=1,
        reasons=("offered 40 messages", 'said "x\x1b[2J\nREJECT"'),
        evidence=("w-1-1", "w-1-2"),
    )
    return Listing(
        trial=hold(suspect, HAM),
        case=number(indicator, suspect.first),
        since=NOW - 3 * DAY,
        until=NOW + int(days * DAY),
    )


LISTINGS = (
    listing(Kind.HOST, "203.1.113.7"),
    listing(Kind.NETWORK, "203.1.113.0/24", 3),
    listing(Kind.HOST, "9.9.9.9", 0.5),
    listing(Kind.HOST, "100.63.255.255"),
    listing(Kind.HOST, "2a01:4f8::1"),
    listing(Kind.NETWORK, "2a02:26f7:c9c0::/48", 14),
    listing(Kind.DOMAIN, "spam.example"),
    listing(Kind.URL, "www.pills.example"),
    listing(Kind.URL, 'evil" :127.0.0.3:x\n!0.0.0.0/0'),
    listing(Kind.SENDER, "win@spam.example"),
    listing(Kind.HELO, "x\r\n0.0.0.0/0\tREJECT"),
    listing(Kind.SUBJECT, "=cmd|' /C calc'!A0 \u202e \ud800"),
)

OLDER = msgspec.structs.replace(LISTINGS[0], until=NOW + DAY)
