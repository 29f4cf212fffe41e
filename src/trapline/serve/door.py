"""The door: accepts connections, turns away those over a limit, wakes a trap for the rest.

Must not be in here: the limits' arithmetic (``limits``), octets of the dialogue.
"""

import errno
from collections.abc import Sequence
from socket import MSG_DONTWAIT, MSG_NOSIGNAL, socket
from typing import Final

from trapline.addresses import Network
from trapline.serve.connection import Connection
from trapline.serve.limits import Guests
from trapline.serve.place import Place
from trapline.session import Endpoint

AT_ONCE: Final = 16  # connections accepted before others get their turn
SHORT: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Door:
    """A listening socket of one worker."""

    __slots__ = ("_guests", "_local", "_networks", "_place", "_socket")

    def __init__(
        self, place: Place, listening: socket, guests: Guests, networks: Sequence[Network] = ()
    ) -> None:
        listening.setblocking(False)  # noqa: FBT003 - the standard library's own call
        self._place, self._socket, self._guests = place, listening, guests
        self._networks = networks  # whose PROXY header is believed, and required
        address, port = listening.getsockname()[:2]
        unspecified = address in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self._local = None if unspecified else Endpoint(address, port)

    def ready(self, events: int) -> None:
        """Accept some of those who wait."""
        del events
        for _ in range(AT_ONCE):
            try:
                connected, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as trouble:
                if trouble.errno in SHORT:
                    self._place.log(f"cannot accept: {trouble.strerror}")
                    return
                continue  # that peer is gone already; see accept(2) on such errors
            self._greet(connected, Endpoint(_plain(address[0]), address[1]))

    def _greet(self, connected: socket, peer: Endpoint) -> None:
        place = self._place
        if self._guests.enter(peer.address, place.loop.now):
            _turn_away(connected, place.farewell("TOO_MANY"))
            return
        Connection(place, connected, peer, self._local or _local(connected))


def _turn_away(connected: socket, words: bytes) -> None:
    """Say why in the persona's words, if it has any, and close."""
    try:
        if words:
            connected.send(words, MSG_DONTWAIT | MSG_NOSIGNAL)
    except OSError:
        pass
    connected.close()


def _local(connected: socket) -> Endpoint:
    """Ask which of our addresses the peer connected to."""
    address, port = connected.getsockname()[:2]
    return Endpoint(_plain(address), port)


def _plain(address: str) -> str:
    """Write an IPv4 address that came in by IPv6 as what it is."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address
