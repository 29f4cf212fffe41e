"""A connection from a trusted proxy, until it has said whom it speaks for.

The header is looked at in place (MSG_PEEK) and taken out whole, so that the trap's session
begins with the peer's own first octet.

Must not be in here: the header's form (``proxy``), whom to trust (``door``).
"""

import select
from socket import MSG_DONTWAIT, MSG_PEEK, SocketType
from typing import Final, Protocol

from trapline.serve import proxy
from trapline.serve.loop import READ, Loop
from trapline.session import Endpoint

ENDED: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
CHANGES: Final = select.EPOLLET  # half a header stays readable: tell of what is new, once


class Doorkeeper(Protocol):
    """Who decides about a connection once its header is there."""

    def vouched(self, connected: SocketType, header: proxy.Header, via: Endpoint) -> None:
        """Let the peer in that the proxy named."""

    def spurned(self, connected: SocketType, via: Endpoint, octets: bytes) -> None:
        """Close: the header is wrong or did not come in time."""


class Vouching:
    """Waits for a PROXY header."""

    __slots__ = ("_keeper", "_loop", "_socket", "_via", "bucket", "deadline")

    def __init__(
        self,
        loop: Loop,
        connected: SocketType,
        via: Endpoint,
        keeper: Doorkeeper,
        seconds: float,
    ) -> None:
        self._loop, self._socket, self._via, self._keeper = loop, connected, via, keeper
        self.deadline, self.bucket = loop.now + seconds, 0
        loop.wheel.hang(self)
        loop.watch(connected.fileno(), self, READ | ENDED | CHANGES)

    def ready(self, events: int) -> None:
        """Look whether the header is whole."""
        try:
            octets = self._socket.recv(proxy.MOST, MSG_PEEK | MSG_DONTWAIT)
            header = proxy.parse(octets)
        except BlockingIOError:
            return
        except OSError:
            self._spurn(b"")
        except proxy.Wrong:
            self._spurn(octets)
        else:
            if header is not None:
                self._leave()
                self._socket.recv(header.octets, MSG_DONTWAIT)
                self._keeper.vouched(self._socket, header, self._via)
            elif events & ENDED:
                self._spurn(octets)

    def abandon(self) -> None:
        """Let go of the connection."""
        self._spurn(b"")

    def expired(self) -> None:
        """Act: the deadline has passed."""
        self._spurn(b"")

    def _spurn(self, octets: bytes) -> None:
        self._leave()
        self._keeper.spurned(self._socket, self._via, octets)

    def _leave(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._loop.wheel.drop(self)
