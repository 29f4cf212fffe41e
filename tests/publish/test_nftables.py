"""nftables: what only this format has to get right; the kernel's word is in real_programs."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from tests.publish.sample import NOW, listing

from trapline.listings import Kind, Listing
from trapline.publish import nftables
from trapline.publish._order import disjoint

HOSTS = ("16.1.1.0", "16.1.1.9", "16.1.2.1", "2a01:1::1", "2a01:1:0:ffff::")
NETWORKS = ("16.1.1.0/24", "16.1.0.0/25", "2a01:1::/48")
PLACES = st.tuples(st.just(Kind.HOST), st.sampled_from(HOSTS)) | st.tuples(
    st.just(Kind.NETWORK), st.sampled_from(NETWORKS)
)


@given(st.lists(PLACES.map(lambda place: listing(*place)), max_size=8))
def test_elements_never_overlap(listings: list[Listing]) -> None:
    """The kernel refuses the whole file else.  Planted: hosts before their network."""
    nets = [net for net, _ in disjoint(listings)]
    pairs = itertools.combinations(nets, 2)
    assert not any(a.version == b.version and a.overlaps(b) for a, b in pairs)


def test_an_element_never_lasts_for_ever() -> None:
    """A timeout of 0 would; what ends this very moment gets one second."""
    settings = nftables.Settings()
    over = [listing(Kind.HOST, "9.9.9.9", days=0)]
    assert "9.9.9.9 timeout 1s " in nftables.render(over, settings, NOW)


def test_the_output_of_nft_is_read_in_all_its_forms() -> None:
    """Addresses, prefixes, with and without their own attributes."""
    output = """{"nftables": [{"metainfo": {}}, {"set": {"name": "good4", "elem": ["1.1.1.1"]}},
    {"set": {"name": "bad4", "elem": ["9.9.9.9",
      {"elem": {"val": {"prefix": {"addr": "16.1.1.0", "len": 24}}, "timeout": 5}}]}},
    {"set": {"name": "bad6", "elem": [{"prefix": {"addr": "2a01:1::", "len": 48}}]}}]}"""
    assert nftables.live(output) == {"9.9.9.9", "16.1.1.0/24", "2a01:1::/48"}
