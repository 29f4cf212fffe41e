"""Court: terms begin, are renewed, lengthen and end; the operator's word ends them at once."""

import ipaddress
import math
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.analysis.court import DAY, EVER, Court, Rules, indicated, number
from trapline.analysis.trial import Allow, Genuine, Item, hold
from trapline.events import ListingWithdrawn
from trapline.listings import Indicator, Kind, Listing, Suspect, Trial

HOST = Indicator(Kind.HOST, "192.18.2.7")
NET = Indicator(Kind.NETWORK, "192.18.2.0/24")
HAM = Genuine([Item(name="m#1", source="m", peers=("8.8.4.4",))])


def suspect(indicator: Indicator, day: float, score: float = 2.0, first: float = 0) -> Suspect:
    """Return a suspect as it stands with evidence of that day."""
    return Suspect(
        indicator=indicator,
        score=score,
        count=1,
        first=int(first * DAY),
        last=int(day * DAY),
        hosts=1,
        reasons=("offered 1 message",),
        evidence=(f"a-1-{int(day * 24)}",),
    )


def held(one: Suspect) -> Trial:
    """Try a suspect on one genuine message from elsewhere."""
    return hold(one, HAM)


def listed(court: Court, day: float) -> dict[str, Listing]:
    """Return what is listed on a day."""
    verdicts = court.sit(held, int(day * DAY))
    return {str(listing.indicator): listing for listing in verdicts.listings}


def test_a_term_begins_with_the_evidence_that_crosses_and_ends() -> None:
    """Not with the day on which somebody looked."""
    court = Court(Rules())
    court.hear(suspect(HOST, 1, score=0.9))
    assert not listed(court, 1)
    court.hear(suspect(HOST, 2))
    listing = listed(court, 5)[str(HOST)]
    assert (listing.since, listing.until, listing.times) == (2 * DAY, 9 * DAY, 1)
    assert not listed(court, 9)


def test_evidence_renews_a_term_and_a_second_one_is_twice_as_long() -> None:
    """Up to the cap; the case keeps its number."""
    court = Court(Rules(max_term=20 * DAY))
    court.hear(suspect(HOST, 0))
    court.hear(suspect(HOST, 3, score=0.1))
    first = listed(court, 4)[str(HOST)]
    assert (first.since, first.until) == (0, 10 * DAY)
    court.hear(suspect(HOST, 10, score=0.5))
    assert not listed(court, 10), "what has ended begins anew only over the threshold"
    for day, until in ((20, 34), (40, 60), (100, 120)):
        court.hear(suspect(HOST, day))
        again = listed(court, day)[str(HOST)]
        assert (again.until, again.case) == (until * DAY, first.case)
    assert again.times == 4


def test_an_operator_ends_a_term_and_bars_what_overlaps() -> None:
    """Planted: barring only the very indicator left a host listed through its network."""
    court = Court(Rules())
    court.hear(suspect(HOST, 0))
    court.hear(suspect(NET, 0))
    event = ListingWithdrawn(indicator="192.18.2.7", reason="customer", until=3 * DAY)
    court.withdraw(event, DAY)
    assert not listed(court, 1)
    court.hear(suspect(HOST, 2))
    court.hear(suspect(NET, 2))
    assert not listed(court, 2.5), "evidence in the meantime begins nothing"
    assert not listed(court, 4)
    court.hear(suspect(HOST, 5))
    assert listed(court, 5)[str(HOST)].times == 2


def test_a_withdrawal_without_an_end_lasts() -> None:
    """``until=0`` is for ever, and says why."""
    court = Court(Rules())
    court.withdraw(ListingWithdrawn(indicator="host 192.18.2.7", reason="ours"), 0)
    court.hear(suspect(HOST, 5000))
    assert not listed(court, 5000)
    bar = court.bar(HOST, 5000 * DAY)
    assert bar is not None
    assert (bar.until, bar.reason) == (EVER, "ours")


def test_who_turns_out_genuine_is_off_the_list() -> None:
    """Without a word from anybody: the next trial does not acquit."""
    court = Court(Rules())
    court.hear(suspect(HOST, 0))
    assert listed(court, 1)
    genuine = Genuine([Item(name="m#2", source="m", peers=("192.18.2.7",))])
    verdicts = court.sit(lambda s: hold(s, genuine), DAY)
    assert not verdicts.listings
    assert verdicts.refused[0].harmed == ("m#2",)


def test_only_the_kinds_named_are_listed() -> None:
    """Names are for the operator to read unless the settings say otherwise."""
    sender = Indicator(Kind.SENDER, "x@spam.example")
    for kinds, count in (((Kind.HOST,), 0), ((Kind.SENDER,), 1)):
        court = Court(Rules(kinds=kinds))
        court.hear(suspect(sender, 0))
        assert len(court.in_term(0)) == count


def test_a_full_list_keeps_the_strongest_and_says_what_it_left_out() -> None:
    """A score half as high is stronger when it is more than one half-life younger."""
    court = Court(Rules(max_listings=1, term=30 * DAY))
    court.hear(suspect(HOST, 0, score=4.0))
    other = Indicator(Kind.HOST, "192.18.9.9")
    court.hear(suspect(other, 8, score=2.0))
    verdicts = court.sit(held, 9 * DAY)
    assert [x.indicator for x in verdicts.listings] == [other]
    assert verdicts.crowded_out == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.18.2.7", HOST),
        ("host 192.18.2.7", HOST),
        ("192.18.2.9/24", NET),
        ("network 192.18.2.0/24", NET),
        ("2001:DB8::1", Indicator(Kind.HOST, "2001:db8::1")),
        ("[2001:db8::1]", Indicator(Kind.HOST, "2001:db8::1")),
        ("subject buy now", Indicator(Kind.SUBJECT, "buy now")),
        ("host nonsense", None),
        ("nonsense", None),
        ("sender ", None),
        ("", None),
    ],
)
def test_indicators_are_read_as_they_print(text: str, found: Indicator | None) -> None:
    """Whatever is in the journal, reading it never fails."""
    assert indicated(text) == found


def test_a_case_number_is_short_stable_and_readable() -> None:
    """The same for the same indicator and first evidence; no I, L, O or U in it."""
    assert number(HOST, 5) == number(HOST, 5) != number(HOST, 6)
    assert number(HOST, 5) != number(NET, 5)
    assert number(HOST, 5) == "T-A3FPKK"
    numbers = {number(HOST, at) for at in range(2000)}
    assert len(numbers) == 2000
    assert all(re.fullmatch("T-[0-9A-HJKMNP-TV-Z]{6}", n) for n in numbers)


OTHERS = ("host 8.8.4.4", "host 10.0.0.1", "network 8.0.0.0/8", "host 192.18.200.1")
INDICATORS = st.sampled_from([HOST, HOST, NET, *filter(None, map(indicated, OTHERS))])
EVIDENCE = st.builds(suspect, INDICATORS, st.just(0.0), st.sampled_from((0.5, 1.0, 2.0)))
WITHDRAWALS = st.builds(
    ListingWithdrawn,
    indicator=st.just(str(HOST)) | INDICATORS.map(str) | st.text(max_size=5),
    reason=st.just("said so"),
    until=st.just(0) | st.integers(0, 60 * DAY),
)
STEPS = st.lists(st.tuples(st.integers(0, 60), EVIDENCE | WITHDRAWALS), min_size=4, max_size=30)


def replay(court: Court, steps: list[tuple[int, Suspect | ListingWithdrawn]]) -> Court:
    """Tell a court everything, in the order of time."""
    for day, step in steps:
        if isinstance(step, Suspect):
            court.hear(msgspec.structs.replace(step, last=day * DAY))
        else:
            court.withdraw(step, day * DAY)
    return court


@settings(max_examples=300)
@given(STEPS, st.integers(0, 9), st.floats(0, 1))
def test_a_court_woken_from_a_snapshot_says_the_same(
    steps: list[tuple[int, Suspect | ListingWithdrawn]], later: int, part: float
) -> None:
    """Planted: a snapshot without the bars forgot what the operator had withdrawn."""
    steps = sorted(steps, key=lambda step: step[0])
    day = later + (steps[-1][0] if steps else 0)
    cut = int(part * len(steps))
    whole = replay(Court(Rules()), steps)
    half = replay(Court(Rules()), steps[:cut])
    woken = msgspec.json.decode(msgspec.json.encode(half), type=Court)
    again = replay(woken, steps[cut:])
    assert again.sit(held, day * DAY) == whole.sit(held, day * DAY)


@given(STEPS, st.integers(0, 9))
def test_no_listing_is_genuine_reserved_allowed_or_too_wide(
    steps: list[tuple[int, Suspect | ListingWithdrawn]], later: int
) -> None:
    """Whatever the journal says, and every term is between its bounds."""
    steps = sorted(steps, key=lambda step: step[0])
    day = later + (steps[-1][0] if steps else 0)
    ours = ipaddress.ip_network("192.18.200.0/24")
    genuine = Genuine([Item(name="m", source="m", peers=("8.8.4.4",))], Allow(networks=(ours,)))
    court = replay(Court(Rules()), steps)
    for listing in court.sit(lambda s: hold(s, genuine), day * DAY).listings:
        assert listing.indicator in (HOST, NET)
        assert listing.since <= day * DAY < listing.until
        terms = (listing.until - listing.since) / (7 * DAY)
        assert terms >= min(2 ** (listing.times - 1), 180 / 7) - 1e-9
        assert math.isfinite(terms)
        assert court.bar(listing.indicator, day * DAY) is None
