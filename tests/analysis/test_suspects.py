"""Suspects: who has evidence against him, how much, and who never has any."""

import ipaddress
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.mail import HOUR, SPAM, START, entry, offered, read

from trapline.analysis.accounts import EVIDENCE, WITNESSES
from trapline.analysis.evidence import Exempt
from trapline.analysis.suspects import DAY, Docket, Settings, State
from trapline.events import (
    AuthTried,
    Entry,
    EnvelopeDropped,
    Event,
    MailOffered,
    OddHeard,
    SessionRefused,
)
from trapline.listings import Indicator, Kind, Suspect

HOST = Indicator(Kind.HOST, "198.51.100.7")
NET = Indicator(Kind.NETWORK, "198.51.100.0/24")
GUESS = AuthTried(mechanism="PLAIN", user="info", password="info", accepted=False)  # noqa: S106


def told(docket: Docket, entries: Iterable[Entry], octets: bytes = SPAM) -> Docket:
    """Let a docket take entries with their facts."""
    for one in entries:
        docket.take(one, read(one, octets) if isinstance(one.event, MailOffered) else None)
    return docket


def held(docket: Docket, indicator: Indicator = HOST, at: int = START) -> float:
    """Return the score against an indicator."""
    return next((s.score for s in docket.suspects(at) if s.indicator == indicator), 0.0)


def often(event: Event, times: int, *, peer: str = "198.51.100.7") -> list[Entry]:
    """Return the same act several times, a second apart."""
    return [entry(event, peer=peer, at=START + n * 10**9) for n in range(times)]


@pytest.mark.parametrize(
    ("event", "needed"),
    [
        (offered(), 3),
        (offered(recipients=[f"r{n}@x.example" for n in range(3)]), 2),
        (offered(recipients=[f"r{n}@x.example" for n in range(32)]), 1),
        (GUESS, 21),
        (msgspec.structs.replace(GUESS, accepted=True), 4),
        (EnvelopeDropped(sender="a@b.example", recipients=(), refused=("x@y.example",)), 34),
        (OddHeard(what="smuggling"), 3),
    ],
)
def test_what_it_takes_to_be_tried(event: Event, needed: int) -> None:
    """The table of the specification."""
    before = told(Docket(), often(event, needed - 1))
    assert held(before, at=START + needed * 10**9) < 1.0
    after = told(Docket(), often(event, needed))
    assert held(after, at=START + needed * 10**9) >= 1.0


@pytest.mark.parametrize("event", [OddHeard(what="http"), SessionRefused(limit="p", count=9, seconds=1)])  # fmt: skip # noqa: E501
def test_curiosity_alone_is_never_enough(event: Event) -> None:
    """However often; and it accuses no network."""
    docket = told(Docket(), often(event, 500))
    assert 0 < held(docket) < 1.0
    assert [s.indicator for s in docket.suspects(START)] == [HOST]


@pytest.mark.parametrize(
    ("event", "octets"),
    [
        (offered(sender=""), SPAM),
        (offered(b"Auto-Submitted: auto-replied\n\nx"), b"Auto-Submitted: auto-replied\n\nx"),
        (offered(recipients=["postmaster@x.example", "Abuse@x.example"]), SPAM),
        (offered(sender="friend@known.example"), SPAM),
        (offered(sender="friend@mail.known.example"), SPAM),
        (offered(sender="Partner@else.example"), SPAM),
        (EnvelopeDropped(sender="", recipients=(), refused=("ghost@x.example",)), SPAM),
    ],
)
def test_what_is_never_evidence(event: Event, octets: bytes) -> None:
    """Bounces, notices to roles, known correspondents, callbacks: not once, not often.

    Planted fault: asking for the sort alone let the callback's refused recipient count.
    """
    exempt = Exempt(correspondents=frozenset({"known.example", "partner@else.example"}))
    docket = told(Docket(exempt=exempt), often(event, 100), octets)
    assert docket.suspects(START) == []


def test_the_operators_own_networks_are_never_evidence() -> None:
    """Nor are forwarders; but behind a forwarder, the origin answers for it.

    Planted fault: ``facts.origin``, made without knowing the forwarder, was the forwarder.
    """
    ours = (ipaddress.ip_network("198.51.100.0/24"),)
    assert told(Docket(exempt=Exempt(networks=ours)), often(offered(), 9)).suspects(START) == []
    octets = b"Received: from x ([203.0.113.9]) by mx; now\r\n" + SPAM
    docket = Docket(exempt=Exempt(forwarders=ours))
    for one in often(offered(octets), 9):
        docket.take(one, read(one, octets))
        docket.take(one, None)
    assert held(docket) == 0
    assert held(docket, Indicator(Kind.HOST, "203.0.113.9")) > 1


def test_a_network_needs_breadth() -> None:
    """Planted fault: without asking for bad hosts, one flood accused its whole /24."""
    docket = told(Docket(), often(offered(), 500))
    told(docket, often(offered(), 1, peer="198.51.100.8"))
    assert held(docket, NET) == 0
    told(docket, often(offered(), 1, peer="198.51.100.9"))
    assert held(docket, NET, START + 500 * 10**9) >= 1.0


def test_an_ipv6_customer_is_one_witness() -> None:
    """A /64 is one customer: many addresses of it accuse it, not the /48 around it."""
    docket = Docket()
    for n in range(1, 9):
        told(docket, often(offered(), 3, peer=f"2001:db8:1:2::{n:x}"))
    assert held(docket, Indicator(Kind.NETWORK, "2001:db8:1:2::/64")) >= 1.0
    assert held(docket, Indicator(Kind.NETWORK, "2001:db8:1::/48")) == 0


def test_one_flood_is_not_a_thousand_witnesses() -> None:
    """A name needs several hosts, a flood decays like any other evidence."""
    docket = told(Docket(), often(offered(), 1000))
    assert held(docket, at=START + 1000 * 10**9) <= 3.0
    for name in (Indicator(Kind.SUBJECT, "buy now"), Indicator(Kind.DOMAIN, "spam.example")):
        assert 0 < held(docket, name) < 0.5
    assert held(docket, at=START + 12 * DAY) < 1.0


def test_a_scan_for_relays_counts_once_a_session() -> None:
    """Nmap asks sixteen times; an operator's own test must not convict the tester."""
    event = EnvelopeDropped(sender="a@x.example", recipients=("relaytest@nmap.scanme.org",))
    scan = [entry(event, at=START + n, session="s1") for n in range(16)]
    docket = told(Docket(), scan)
    assert held(docket) == pytest.approx(0.4, abs=0.001)
    (host,) = [s for s in docket.suspects(START) if s.indicator == HOST]
    assert host.reasons[0].startswith("tested 16 times whether we relay")


def test_reasons_and_evidence_can_be_read() -> None:
    """Numbers, times, and the ids of the first and the strongest entries."""
    many = [f"r{n}@x.example" for n in range(40)]
    events = [offered()] * 30 + [offered(recipients=many)] + [GUESS] * 30
    entries = [entry(e, at=START + n * HOUR, name=f"t-{n}") for n, e in enumerate(events)]
    docket = told(Docket(), entries)
    (host,) = [s for s in docket.suspects(START) if s.indicator == HOST]
    between = "between 2026-09-21 14:13 and 2026-09-24 02:13 UTC"
    assert host.reasons == (
        f"offered 31 messages to 70 recipients {between}",
        "31 messages sell or lure",
        "guessed 30 passwords",
    )
    assert (host.count, host.hosts) == (61, 1)
    assert host.evidence[0] == "t-30"
    assert {"t-0", "t-1", "t-2"} < set(host.evidence)
    assert len(host.evidence) <= EVIDENCE


def test_crossings_are_told_once() -> None:
    """And again after falling below and rising anew."""
    docket = told(Docket(), often(offered(), 2))
    assert docket.crossings(START) == []
    told(docket, often(offered(), 3))
    assert [s.indicator for s in docket.crossings(START + DAY)] == [HOST]
    assert docket.crossings(START + DAY) == []
    told(docket, [entry(offered(), at=START + 60 * DAY + n) for n in range(3)])
    assert [s.indicator for s in docket.crossings(START + 60 * DAY)] == [HOST]


# -- laws ----------------------------------------------------------------------------------

ACTS = st.sampled_from([
    offered(), offered(recipients=["a@b.example"], refused=["e@f.example"]), GUESS,
    offered(sender="x@y.example", helo="h.example"), OddHeard(what="http"),
    EnvelopeDropped(sender="a@x.example", recipients=("relaytest@nmap.scanme.org",)),
])  # fmt: skip
PEERS = st.sampled_from(
    ["198.51.100.7", "198.51.100.8", "203.0.113.1", "10.0.0.1", "2001:db8::1"]
)
STREAMS = st.lists(st.tuples(ACTS, PEERS, st.integers(0, 3 * DAY)), max_size=30)


def stream(drawn: list[tuple[Event, str, int]]) -> list[Entry]:
    """Return a stream of entries in order of time."""
    found, at = [], START
    for number, (event, peer, pause) in enumerate(drawn):
        at += pause
        found.append(entry(event, peer=peer, at=at, session=f"{peer}-{number // 3}"))
    return found


def all_of(docket: Docket) -> tuple[list[Suspect], bytes]:
    """Return everything a docket says and remembers."""
    return docket.suspects(START + 100 * DAY), msgspec.json.encode(docket.state)


@given(STREAMS, st.integers(0, 30))
def test_a_snapshot_continued_is_a_straight_run(
    drawn: list[tuple[Event, str, int]], cut: int
) -> None:
    """Planted fault: keeping the counted sessions out of the state counted a scan twice."""
    entries = stream(drawn)
    straight = told(Docket(), entries)
    snapshot = msgspec.json.encode(told(Docket(), entries[:cut]).state)
    continued = told(Docket(state=msgspec.json.decode(snapshot, type=State)), entries[cut:])
    assert all_of(continued) == all_of(straight)


@given(STREAMS, STREAMS)
def test_strangers_do_not_change_a_hosts_account(
    drawn: list[tuple[Event, str, int]], others: list[tuple[Event, str, int]]
) -> None:
    """Except through drop boxes, which is what those are remembered for."""
    own = [one for one in stream(drawn) if not isinstance(one.event, EnvelopeDropped)]
    noise = [
        msgspec.structs.replace(
            one, stamp=msgspec.structs.replace(one.stamp, peer="192.88.98.1", session="n")
        )
        for one in stream(others)
        if not isinstance(one.event, EnvelopeDropped)
    ]
    mixed = sorted([*own, *noise], key=lambda one: one.stamp.at)
    alone, among = told(Docket(), own), told(Docket(), mixed)

    def hosts(docket: Docket) -> list[Suspect]:
        kinds = (Kind.HOST, Kind.NETWORK)
        found = [s for s in docket.suspects(START + 100 * DAY) if s.indicator.kind in kinds]
        return [s for s in found if not s.indicator.value.startswith("192.88.98.")]

    assert hosts(among) == hosts(alone)


@given(STREAMS, st.integers(0, 90 * DAY), st.integers(0, 90 * DAY))
def test_without_new_evidence_scores_only_fall(
    drawn: list[tuple[Event, str, int]], first: int, second: int
) -> None:
    """Decay is monotone, and nobody new appears."""
    docket = told(Docket(), stream(drawn))
    early, late = sorted((first, second))
    end = START + 100 * DAY
    before = {s.indicator: s.score for s in docket.suspects(end + early)}
    after = {s.indicator: s.score for s in docket.suspects(end + late)}
    assert all(score <= before[indicator] for indicator, score in after.items())


@given(STREAMS)
def test_every_suspect_has_evidence_and_reasons(drawn: list[tuple[Event, str, int]]) -> None:
    """Suspicion without a reason a person can read does not exist."""
    entries = stream(drawn)
    ids = {one.id for one in entries}
    for suspect in told(Docket(), entries).suspects(START + 60 * DAY):
        assert suspect.reasons
        assert suspect.evidence
        assert set(suspect.evidence) <= ids
        assert suspect.first <= suspect.last
        assert suspect.score > 0


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 20))
def test_memory_is_bounded(most: int) -> None:
    """Planted fault: pruning by age alone dropped the worst host for a flood of new ones."""
    docket = Docket(Settings(hosts=most, names=most))
    told(docket, often(offered(), 5))
    for n in range(300):
        peer = f"100.{n % 7}.{n}.1" if n < 256 else f"101.1.1.{n - 256}"
        told(docket, [entry(offered(helo=f"h{n}"), peer=peer, at=START + n * 10**9)])
    assert all(len(t) <= most + most // 8 for t in docket.state.accounts.values())
    assert held(docket, at=START + 300 * 10**9) > 1.0
    subject = docket.state.accounts[Kind.SUBJECT]["buy now"]
    assert len(subject.sums) <= 2 * WITNESSES
