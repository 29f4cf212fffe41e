"""Contract of ``publish/``: what every format in the room must do, tried on all of them.

A format needs a golden file of its name here: what it makes of ``sample.LISTINGS``.
"""

import ipaddress
import random
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.publish.sample import LISTINGS, NOW, listing

from trapline import rooms
from trapline.errors import TraplineError
from trapline.listings import Kind, Listing

FORMATS = [rooms.find("publish", name) for name in rooms.names("publish")]
every_format = pytest.mark.parametrize("form", FORMATS, ids=lambda m: m.__name__.split(".")[-1])


def render(form: ModuleType, listings: list[Listing] | tuple[Listing, ...]) -> str:
    """Render with the format's default settings."""
    text: str = form.render(listings, form.Settings(), NOW)
    return text


def test_the_five_formats_are_there() -> None:
    """Found by name, without a registry."""
    assert {"plain", "postfix", "nftables", "rbldnsd", "json"} <= set(rooms.names("publish"))
    with pytest.raises(TraplineError, match="there is: json, nftables"):
        rooms.find("publish", "_order")


@every_format
def test_the_sample_renders_as_the_golden_file_says(form: ModuleType) -> None:
    """To the byte; a reader of the diff sees what a change does to the operator's files."""
    golden = Path(__file__).with_name(form.__name__.split(".")[-1] + ".golden")
    assert render(form, LISTINGS) == golden.read_text("utf-8")


@every_format
def test_equal_listings_give_equal_bytes(form: ModuleType) -> None:
    """In whatever order they come, and from whatever iterable."""
    shuffled = list(LISTINGS)
    random.Random(7).shuffle(shuffled)  # noqa: S311 - an order, no secret
    text = render(form, LISTINGS)
    assert render(form, shuffled) == text == form.render(iter(shuffled), form.Settings(), NOW)


@every_format
def test_an_empty_list_is_a_valid_one(form: ModuleType) -> None:
    """It lists nothing, and it is what withdraws the last listing."""
    assert form.listed(render(form, [])) == form.carried([]) == frozenset()


@every_format
def test_what_is_read_back_is_what_was_carried(form: ModuleType) -> None:
    """All addresses at the least."""
    carried = form.carried(LISTINGS)
    assert form.listed(render(form, LISTINGS)) == carried
    text = " ".join(carried)
    for address in ("9.9.9.9", "203.1.113.0/24", "2a01:4f8::1", "2a02:26f7:c9c0::/48"):
        assert address in text


HOSTILE = st.text(st.characters() | st.sampled_from("\n\r\0\t \"'\\#:;,{}$!=\x1b\x85\u2028"))
NAMES = st.sampled_from([k for k in Kind if k not in (Kind.HOST, Kind.NETWORK)])


@every_format
@given(st.lists(st.builds(listing, NAMES, HOSTILE.filter(bool)), max_size=4))
def test_hostile_text_never_becomes_an_entry(form: ModuleType, names: list[Listing]) -> None:
    """Planted: the plain format without escaping let a HELO add a line of its own."""
    listings = [listing(Kind.HOST, "9.9.9.9"), *names]
    text = render(form, listings)
    assert form.listed(text) == form.carried(listings)
    assert all(c == "\n" or c.isprintable() or c == "\t" for c in text)
    without = render(form, listings[:1])
    if form.carried(listings) == form.carried(listings[:1]):
        assert text == without


ADDRESSES = st.ip_addresses(v=4, network="16.0.0.0/4") | st.ip_addresses(
    v=6, network="2a00::/12"
)


def as_listing(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    wide: bool,  # noqa: FBT001 - hypothesis gives it
) -> Listing:
    """Return a listing of an address or of its network."""
    if not wide:
        return listing(Kind.HOST, str(address))
    width = 24 if address.version == 4 else 48
    return listing(Kind.NETWORK, str(ipaddress.ip_network(f"{address}/{width}", strict=False)))


@every_format
@given(st.lists(st.builds(as_listing, ADDRESSES, st.booleans()), max_size=12))
def test_every_address_listed_is_covered_and_no_other(
    form: ModuleType, listings: list[Listing]
) -> None:
    """Planted: leaving out the first of two overlapping entries uncovered its hosts."""
    words = (entry.rpartition(" ")[2] for entry in form.listed(render(form, listings)))
    covered = [ipaddress.ip_network(word) for word in words]
    wanted = [x.network for x in listings if x.network is not None]
    assert set(covered) <= set(wanted)
    for net in wanted:
        assert any(c.version == net.version and c.supernet_of(net) for c in covered)  # type: ignore[arg-type]
