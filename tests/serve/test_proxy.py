"""PROXY headers: printed by rule they read back, cut anywhere they wait, broken they fail."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.serve.proxy import MOST, SIGNATURE, Header, Wrong, parse
from trapline.session import Endpoint

PORTS = st.integers(0, 65535)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def line(source: Address, target: Address, ports: tuple[int, int]) -> bytes:
    """Print a version 1 header."""
    return f"PROXY TCP{source.version} {source} {target} {ports[0]} {ports[1]}\r\n".encode()


def binary(
    source: Address, target: Address, ports: tuple[int, int], extra: bytes = b""
) -> bytes:
    """Print a version 2 header with TLVs behind the addresses."""
    body = source.packed + target.packed
    body += ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big") + extra
    family = 0x11 if source.version == 4 else 0x21
    return SIGNATURE + bytes([0x21, family]) + len(body).to_bytes(2, "big") + body


@given(
    PAIRS,
    st.tuples(PORTS, PORTS),
    st.binary(max_size=40),
    st.binary(max_size=20),
    st.booleans(),
)
def test_a_good_header_reads_back(
    pair: tuple[Address, Address],
    ports: tuple[int, int],
    extra: bytes,
    behind: bytes,
    old: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """Who, whom, and where the dialogue begins; each cut of it asks for more.

    Planted: without the bound on the line, a cut in front of CR LF reads as "wrong".
    """
    octets = line(*pair, ports) if old else binary(*pair, ports, extra)
    want = Header(
        len(octets), Endpoint(str(pair[0]), ports[0]), Endpoint(str(pair[1]), ports[1])
    )
    assert parse(octets + behind) == want
    assert all(parse(octets[:cut]) is None for cut in range(len(octets)))


@given(st.binary(max_size=300))
def test_garbage_never_raises_anything_else(octets: bytes) -> None:
    """Header, more, or Wrong: there is no fourth outcome."""
    for front in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x0c"):
        try:
            found = parse(front + octets)
        except Wrong:
            continue
        assert found is None or 0 < found.octets <= len(front + octets)


def test_a_proxy_may_speak_for_itself() -> None:
    """UNKNOWN, LOCAL and AF_UNSPEC name nobody; what follows is skipped."""
    assert parse(b"PROXY UNKNOWN\r\nEHLO") == Header(15)
    assert parse(b"PROXY UNKNOWN ff:: ff:: 1 2\r\n") == Header(29)
    assert parse(SIGNATURE + b"\x20\x00\x00\x02ab" + b"EHLO") == Header(18)
    assert parse(SIGNATURE + b"\x21\x00\x00\x00") == Header(16)


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO x\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * 107,
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
        SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11" + (MOST - 15).to_bytes(2, "big"),
    ],
)
def test_a_broken_header_is_wrong(octets: bytes) -> None:
    """Nothing is guessed: a header that is not by the book vouches for nobody."""
    with pytest.raises(Wrong):
        parse(octets)
