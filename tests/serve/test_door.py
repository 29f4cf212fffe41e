"""The door: who is let in, who is turned away, and whom a proxy speaks for."""

import ipaddress
import socket
import time

from tests.serve.stage import Stage, answer, heard, rest, stage
from tests.serve.test_connection import RESET, closed

from trapline.events import OddHeard, SessionOpened
from trapline.serve.plan import Limits
from trapline.serve.proxy import SIGNATURE

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
V1 = b"PROXY TCP4 198.51.100.7 203.0.113.25 40000 25\r\n"
V2 = (
    SIGNATURE
    + b"\x21\x21\x00\x28"
    + ipaddress.ip_address("2001:db8::7").packed
    + ipaddress.ip_address("2001:db8::25").packed
    + b"\x9c\x40\x00\x19"
    + b"\x04\x00\x01\x00"
)


def opened(there: Stage) -> tuple[str, int, str, str]:
    """Return peer, port, local and via of the first session."""
    there.settle()
    stamp, event, _ = next(
        one for one in there.journal.kept if isinstance(one[1], SessionOpened)
    )
    assert isinstance(event, SessionOpened)
    return stamp.peer, stamp.port, stamp.local, event.via


def odd(there: Stage) -> str:
    """Wait for protocol.odd and return what it was."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        there.settle()
        if found := there.journal.events(OddHeard):
            return str(found[0].what)
        time.sleep(0.02)
    raise AssertionError("nothing odd was heard")


def test_a_header_names_the_peer() -> None:
    """The banner waits for it; what comes with it in one packet is not lost."""
    with stage(networks=LOOPBACK) as there, there.connect() as client:
        client.sendall(V1 + b"HELO x\r\n")
        assert heard(client, 2).endswith(b"ESMTP\r\n250 ok\r\n")
        assert opened(there) == ("198.51.100.7", 40000, "203.0.113.25:25", "127.0.0.1")


def test_version_2_octet_by_octet() -> None:
    """Half a header is waited for without spinning."""
    with stage(networks=LOOPBACK) as there, there.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in V2:
            client.sendall(bytes([octet]))
            time.sleep(0.002)
        assert heard(client).startswith(b"220 ")
        assert opened(there) == ("2001:db8::7", 40000, "[2001:db8::25]:25", "127.0.0.1")


def test_a_proxy_that_speaks_for_itself_is_the_peer() -> None:
    """Health checks (LOCAL) get a session under the proxy's own address."""
    with stage(networks=LOOPBACK) as there, there.connect() as client:
        client.sendall(SIGNATURE + b"\x20\x00\x00\x00")
        heard(client)
        assert opened(there)[0] == opened(there)[3] == "127.0.0.1"


def test_no_header_no_banner() -> None:
    """Silence, a wrong header, half a header and a reset: closed, told, forgotten."""
    limits = Limits(proxy_seconds=0.3)
    for sent in (b"", b"EHLO x\r\n", V1[:20], V2[:20]):
        with stage(networks=LOOPBACK, limits=limits) as there, there.connect() as client:
            client.sendall(sent)
            assert rest(client) == b""
            assert odd(there) == "bad-proxy"
            assert not there.journal.events(SessionOpened)


def test_a_proxy_that_goes_with_half_a_header() -> None:
    """FIN and RST in the middle end the waiting at once."""
    for linger in (b"", RESET):
        with stage(networks=LOOPBACK) as there:
            client = there.connect()
            client.sendall(V1[:20])
            time.sleep(0.05)
            if linger:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
            assert odd(there) == "bad-proxy"
            assert len(there.loop.handlers) == 2  # the door and the stage's bell


def test_who_is_no_proxy_is_not_believed() -> None:
    """A header from elsewhere is just an odd first line; the peer is who it is."""
    networks = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("::/0"))
    with stage(networks=networks) as there, there.connect() as client:
        heard(client)
        assert answer(client, V1) == b"250 ok\r\n"
        assert opened(there)[::3] == ("127.0.0.1", "")


def test_limits_turn_away_in_the_personas_words() -> None:
    """The third of two is told so; once one has left, another may come."""
    with stage(limits=Limits(per_peer=2)) as there:
        first, second, third = (there.connect() for _ in range(3))
        with first, second, third:
            heard(first)
            heard(second)
            assert rest(third).startswith(b"421 mx1.")
            answer(first, b"QUIT\r\n")
            closed(there)
            with there.connect() as fourth:
                assert heard(fourth).startswith(b"220")
        assert there.guests.refused.since


def test_limits_count_the_vouched_peer() -> None:
    """Behind one proxy stand many; each has its own count."""
    with stage(networks=LOOPBACK, limits=Limits(per_peer=1)) as there:
        clients = [there.connect() for _ in range(3)]
        for at, client in enumerate(clients):
            client.sendall(b"PROXY TCP4 198.51.100.%d 203.0.113.25 1 25\r\n" % (at % 2))
        assert [heard(client)[:3] for client in clients] == [b"220", b"220", b"421"]
        for client in clients:
            client.close()
