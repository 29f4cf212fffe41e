"""Trial: no suspect passes that would have cost genuine mail, and no number flatters."""

import ipaddress
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import addresses
from trapline.analysis.trial import Allow, Genuine, Item, acquainted, canonical, hold, upper
from trapline.listings import Indicator, Kind, Listing, NotProven, Suspect

HAM = Item(
    name="inbox.mbox#1",
    source="inbox.mbox",
    about="from alice@news.shop.example: Invoice 7",
    peers=("192.18.2.9",),
    helos=("Mail.Shop.Example",),
    senders=("Alice@news.shop.example",),
    subjects=("Re:  Invoice 7",),
    recipients=("bob@ours.example",),
    urls=("www.shop.example",),
)
LOG = Item(name="mail.log:9", source="mail.log", peers=("2a01:4f8::9",))


def suspect(kind: Kind, value: str) -> Suspect:
    """Return a suspect with some evidence."""
    return Suspect(
        indicator=Indicator(kind, value),
        score=3.0,
        count=2,
        first=1,
        last=2,
        hosts=1,
        reasons=("offered 2 messages",),
        evidence=("a-1-1", "a-1-2"),
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.HOST, "192.18.2.9"),
        (Kind.NETWORK, "192.18.2.0/24"),
        (Kind.HOST, "2a01:4f8::9"),
        (Kind.NETWORK, "2a01:4f8::/48"),
        (Kind.HELO, "mail.shop.example"),
        (Kind.SENDER, "alice@news.shop.example"),
        (Kind.DOMAIN, "news.shop.example"),
        (Kind.DOMAIN, "shop.example"),
        (Kind.SUBJECT, "re: invoice 7"),
        (Kind.SUBJECT, "invoice #"),
        (Kind.RECIPIENT, "bob@ours.example"),
        (Kind.URL, "shop.example"),
    ],
)
def test_a_suspect_that_genuine_mail_carries_is_not_acquitted(kind: Kind, value: str) -> None:
    """Planted: comparing whole domains only let ``domain shop.example`` pass."""
    trial = hold(suspect(kind, value), Genuine([HAM, LOG]))
    assert (trial.hits, trial.acquits_genuine_mail) == (1, False)
    assert trial.harmed[0].startswith(("inbox.mbox#1 from alice", "mail.log:9"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.HOST, "192.18.2.8"),
        (Kind.NETWORK, "192.18.3.0/24"),
        (Kind.HOST, "2a01:4f8::a"),
        (Kind.HELO, "shop.example"),
        (Kind.SENDER, "mallory@news.shop.example"),
        (Kind.DOMAIN, "notshop.example"),
        (Kind.SUBJECT, "invoice due"),
        (Kind.URL, "m.www.shop.example"),
    ],
)
def test_a_neighbour_of_genuine_mail_is_acquitted(kind: Kind, value: str) -> None:
    """Guilt by likeness is no better than innocence by likeness."""
    assert hold(suspect(kind, value), Genuine([HAM, LOG])).acquits_genuine_mail


def test_only_items_that_could_have_been_hit_count_as_tried() -> None:
    """A log line without a subject says nothing about blocking subjects."""
    genuine = Genuine([HAM, LOG, Item(name="x", source="eml")])
    host = hold(suspect(Kind.HOST, "192.18.2.8"), genuine)
    subject = hold(suspect(Kind.SUBJECT, "buy now"), genuine)
    assert (host.tried, host.sources) == (2, ("inbox.mbox (1)", "mail.log (1)"))
    assert (subject.tried, subject.sources) == (1, ("inbox.mbox (1)",))


def test_nothing_is_acquitted_without_genuine_mail() -> None:
    """And the finding says what to do about it."""
    trial = hold(suspect(Kind.HOST, "192.18.2.8"), Genuine([]))
    assert not trial.acquits_genuine_mail
    assert trial.finding == "no genuine mail to try it on: configure [genuine]"
    with pytest.raises(NotProven, match=r"configure \[genuine\]"):
        Listing(trial=trial, case="T-AAAAAA", since=1, until=2)


ALLOW = Allow(
    networks=(ipaddress.ip_network("192.18.4.0/22"),),
    domains=("partner.example", "smtp.host.example"),
    correspondents=acquainted(["Carol@Friend.example"]),
)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Kind.HOST, "192.18.5.1", "allow-list (192.18.4.0/22)"),
        (Kind.NETWORK, "192.18.4.0/24", "allow-list (192.18.4.0/22)"),
        (Kind.HELO, "mx.partner.example", "allow-list (partner.example)"),
        (Kind.SENDER, "x@partner.example", "allow-list (partner.example)"),
        (Kind.URL, "smtp.host.example", "allow-list (smtp.host.example)"),
        (Kind.SENDER, "carol@friend.example", "known correspondent"),
        (Kind.DOMAIN, "friend.example", "known correspondent"),
        (Kind.NETWORK, "192.0.0.0/8", "wider than may ever be listed"),
        (Kind.HOST, "10.1.2.3", "reserved address space (private)"),
        (Kind.HOST, "100.64.0.1", "reserved address space (shared by a carrier's NAT)"),
        (Kind.HOST, "192.0.2.7", "reserved address space (documentation)"),
        (Kind.HOST, "::ffff:8.8.8.8", "reserved address space (IPv4-mapped)"),
        (Kind.HOST, "64:ff9b::808:808", "reserved address space (NAT64)"),
        (Kind.NETWORK, "2002:808:808::/48", "reserved address space (6to4)"),
        (Kind.HOST, "2001:0:1::1", "reserved address space (Teredo)"),
        (Kind.HOST, "255.255.255.255", "reserved address space (reserved, broadcast)"),
    ],
)
def test_the_protected_are_never_listed(kind: Kind, value: str, why: str) -> None:
    """Planted: reserved space freed by any rehearsal network let 10.1.2.3 pass (below)."""
    trial = hold(suspect(kind, value), Genuine([HAM], ALLOW))
    assert (trial.protected, trial.acquits_genuine_mail) == (why, False)


def test_subjects_are_no_domains() -> None:
    """A subject that ends in an allowed domain's name is still a subject."""
    assert hold(
        suspect(Kind.SUBJECT, "you@partner.example"), Genuine([HAM], ALLOW)
    ).acquits_genuine_mail


def test_documentation_space_can_be_freed_for_a_rehearsal_and_nothing_else() -> None:
    """The operator's rehearsal network must itself be documentation space."""
    freed = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "10.0.0.0/8", "0.0.0.0/0")))
    genuine = Genuine([HAM], Allow(rehearsal=freed))
    assert hold(suspect(Kind.HOST, "192.0.2.7"), genuine).acquits_genuine_mail
    assert not hold(suspect(Kind.HOST, "198.51.100.7"), genuine).acquits_genuine_mail
    assert not hold(suspect(Kind.HOST, "10.1.2.3"), genuine).acquits_genuine_mail


@given(
    st.ip_addresses(v=4) | st.ip_addresses(v=6),
    st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6), max_size=5),
)
def test_containment_agrees_with_the_definition(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address,
    peers: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    """Planted: leaving out the comparison of versions let ::1 be found in 0.0.0.0/24."""
    width = 24 if one.version == 4 else 48
    net = ipaddress.ip_network(f"{one}/{width}", strict=False)
    peers = [*peers, net.network_address, ipaddress.ip_address(int(one) % 2**32)]
    genuine = Genuine([Item(name=str(p), source="s", peers=(str(p),)) for p in peers])
    trial = hold(suspect(Kind.NETWORK, str(net)), genuine)
    assert trial.hits == sum(p in net for p in peers)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_the_upper_bound_is_the_exact_one(counts: tuple[int, int]) -> None:
    """At the bound, so few hits would be a 5 % chance: the definition, term by term."""
    hits, tried = counts
    bound = upper(hits, tried)
    if hits == tried:
        assert bound == 1.0
        return
    chance = sum(
        math.comb(tried, k) * bound**k * (1 - bound) ** (tried - k) for k in range(hits + 1)
    )
    assert math.isclose(chance, 0.05, rel_tol=1e-9)


def test_the_bound_without_hits_is_the_rule_of_three() -> None:
    """Never below the exact bound; nothing is known from nothing."""
    assert upper(0, 4150) == 3 / 4150 > 1 - 0.05 ** (1 / 4150)
    assert (upper(0, 2), upper(0, 0)) == (1.0, 1.0)
    assert upper(40_000, 1_000_000) == pytest.approx(0.0403237, abs=1e-5)


@given(st.ip_addresses(v=6))
def test_ipv6_outside_global_unicast_is_reserved(address: ipaddress.IPv6Address) -> None:
    """Only 2000::/3 was ever handed out."""
    net = ipaddress.ip_network(address)
    if not address.is_global or int(address) >> 125 != 1:
        assert addresses.reserved(net)


@given(st.ip_addresses(v=4))
def test_what_python_calls_not_global_is_reserved(address: ipaddress.IPv4Address) -> None:
    """The standard library reads the same registries; we may reserve more, never less."""
    net = ipaddress.ip_network(address)
    if not address.is_global or address.is_multicast:
        assert addresses.reserved(net)


@given(st.text())
def test_canonical_forms_are_stable(text: str) -> None:
    """What is compared must not change by being compared."""
    assert canonical(canonical(text)) == canonical(text)
