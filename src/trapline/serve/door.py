"""The door: accepts connections, turns away those over a limit, wakes a trap for the rest.

Must not be in here: the limits' arithmetic (``limits``), octets of the dialogue.
"""

import contextlib
import errno
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from socket import AF_INET, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_STREAM, SocketType, socket
from typing import Final

from trapline.addresses import Network
from trapline.errors import NotKept
from trapline.events import OddHeard, Stamp
from trapline.serve.connection import Connection
from trapline.serve.limits import Guests
from trapline.serve.place import Place
from trapline.serve.proxy import Header
from trapline.serve.vouching import Vouching
from trapline.session import Endpoint

EXCERPT: Final = 200  # octets of a wrong header that are kept
AT_ONCE: Final = 16  # connections accepted before others get their turn
SHORT: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Door:
    """A listening socket of one worker; ``networks`` are those of believed proxies."""

    __slots__ = ("_accept", "_family", "_guests", "_local", "_networks", "_place", "_vouching")

    def __init__(
        self, place: Place, listening: socket, guests: Guests, networks: Sequence[Network] = ()
    ) -> None:
        listening.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self._place, self._guests = place, guests
        self._networks, self._vouching = networks, 0
        self._family = int(listening.family)
        # What accept() does, without the wrapping that costs as much as the system call;
        # it is there since Python 3.4.
        self._accept: Callable[[], tuple[int, tuple[str, int]]]
        self._accept = listening._accept  # type: ignore[attr-defined]  # noqa: SLF001
        address, port = listening.getsockname()[:2]
        unspecified = address in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self._local = None if unspecified else Endpoint(address, port)

    def ready(self, events: int) -> None:
        """Accept some of those who wait."""
        del events
        for _ in range(AT_ONCE):
            try:
                fd, address = self._accept()
            except BlockingIOError:
                return
            except OSError as trouble:
                if trouble.errno in SHORT:
                    self._place.log(f"cannot accept: {trouble.strerror}")
                    return
                continue  # that peer is gone already; see accept(2) on such errors
            connected = SocketType(self._family, SOCK_STREAM, 0, fd)
            host = address[0] if self._family == AF_INET else _plain(address[0])
            peer = Endpoint(host, address[1])
            if self._networks and self._is_proxy(peer.address):
                self._hear_out(connected, peer)
            else:
                self._greet(connected, peer, self._local or _local(connected))

    def abandon(self) -> None:
        """Stay: one connection that could not be begun is no reason to close the door."""

    def _greet(
        self, connected: SocketType, peer: Endpoint, local: Endpoint, via: str = ""
    ) -> None:
        """Wake a trap for the peer, unless it meets a limit."""
        if self._guests.enter(peer.address, self._place.loop.now):
            _turn_away(connected, self._place.farewell("TOO_MANY"))
        else:
            Connection(self._place, connected, peer, local, via)

    # -- proxies -----------------------------------------------------------------------

    def _is_proxy(self, address: str) -> bool:
        host = ip_address(address.partition("%")[0])
        return any(host.version == net.version and host in net for net in self._networks)

    def _hear_out(self, connected: SocketType, via: Endpoint) -> None:
        """Let a proxy say whom it speaks for."""
        limits = self._place.limits
        if self._vouching >= limits.total:
            connected.close()
            return
        self._vouching += 1
        Vouching(self._place.loop, connected, via, self, limits.proxy_seconds)

    def vouched(self, connected: SocketType, header: Header, via: Endpoint) -> None:
        """Let the peer in that the proxy named; a proxy may speak for itself."""
        self._vouching -= 1
        local = header.local or self._local or _local(connected)
        self._greet(connected, header.peer or via, local, via.address)

    def spurned(self, connected: SocketType, via: Endpoint, octets: bytes) -> None:
        """Close: the header is wrong or did not come in time."""
        self._vouching -= 1
        connected.close()
        loop = self._place.loop
        stamp = Stamp(at=loop.wall, sensor=self._place.name, peer=via.address, port=via.port)
        odd = OddHeard(what="bad-proxy", excerpt=octets[:EXCERPT].decode("latin-1"))
        with contextlib.suppress(NotKept):
            loop.keeper.take(stamp, odd, b"", loop.now)


def _turn_away(connected: SocketType, words: bytes) -> None:
    """Say why in the persona's words, if it has any, and close."""
    with contextlib.suppress(OSError):
        if words:
            connected.send(words, MSG_DONTWAIT | MSG_NOSIGNAL)
    connected.close()


def _local(connected: SocketType) -> Endpoint:
    """Ask which of our addresses the peer connected to."""
    address, port = connected.getsockname()[:2]
    return Endpoint(_plain(address), port)


def _plain(address: str) -> str:
    """Write an IPv4 address that came in by IPv6 as what it is."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address
