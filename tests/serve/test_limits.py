"""Limits: what is let in never exceeds them, and what leaves is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from trapline.serve.limits import Guests, network
from trapline.serve.plan import Limits

FEW = Limits(per_peer=2, per_network=3, total=4, per_peer_minute=1000)
PEERS = st.sampled_from(
    ["192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1", "2001:db8:0:1::1", "2001:db8::2"]
)


@given(st.lists(st.tuples(PEERS, st.booleans()), max_size=60))
def test_no_limit_is_passed_and_nothing_is_left(acts: list[tuple[str, bool]]) -> None:
    """Whatever the order of comings and goings.

    Planted: forgetting the network on leaving keeps the table and refuses too early.
    """
    guests, inside = Guests(FEW), list[str]()
    for peer, comes in acts:
        if not comes:
            if peer in inside:
                inside.remove(peer)
                guests.leave(peer)
            continue
        near = [one for one in inside if network(one) == network(peer)]
        free = inside.count(peer) < 2 and len(near) < 3 and len(inside) < 4
        assert (guests.enter(peer, 0.0) == "") == free
        inside += [peer] * free
    for peer in inside:
        guests.leave(peer)
    assert guests.total == 0
    assert not guests._peers
    assert not guests._networks


def test_haste_is_forgiven_after_a_minute() -> None:
    """New connections are counted by the minute, however short they were."""
    guests = Guests(Limits(per_peer_minute=2))
    met = []
    for now in (60.0, 61.0, 62.0, 120.0):
        met.append(guests.enter("192.0.2.1", now))
        if not met[-1]:
            guests.leave("192.0.2.1")
    assert met == ["", "", "peer", ""]


def test_refusals_are_gathered() -> None:
    """One event a network and limit, with the count; then it begins anew."""
    guests = Guests(Limits(per_peer=1))
    for _ in range(5):
        guests.enter("192.0.2.1", 10.0)
    ((near, event),) = guests.refused.report(12.0)
    assert (near, event.limit, event.count, event.seconds) == ("192.0.2.0/24", "peer", 4, 2.0)
    assert guests.refused.report(13.0) == []


def test_networks_are_a_24_or_a_64() -> None:
    """Zone identifiers do not make another network."""
    assert network("192.0.2.77") == "192.0.2.0/24"
    assert network("2001:db8::1:2:3:4") == "2001:db8::/64"
    assert network("fe80::1%eth0") == network("fe80::2") == "fe80::/64"
