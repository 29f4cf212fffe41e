"""The wire of one connection: octets in and out of a socket, in the clear or by TLS.

It never blocks, keeps what the peer has not yet taken, and watches the socket for exactly
what is wanted of it.  What the octets mean is the business of whoever derives from it.

Must not be in here: the trap, its needs, time limits, the record.
"""

import ssl
from socket import MSG_DONTWAIT, MSG_NOSIGNAL, SocketType
from typing import Final

from trapline.serve.loop import READ, WRITE
from trapline.serve.place import Place
from trapline.serve.tls import Layer
from trapline.session import Session, Tls

LINES: Final = 4096  # octets read at first: commands, and most messages
BUFFER: Final = bytearray(256 * 2**10)  # whatever is longer, of all connections of a worker
VIEW: Final = memoryview(BUFFER)
FLAGS: Final = MSG_DONTWAIT | MSG_NOSIGNAL


class Wire:
    """A socket with what is unsent, and TLS in between once it is wanted."""

    __slots__ = (
        "_ended",
        "_events",
        "_layer",
        "_place",
        "_session",
        "_socket",
        "_unsent",
    )
    _session: Session

    def __init__(self, place: Place, connected: SocketType) -> None:
        self._place, self._socket = place, connected
        self._layer: Layer | None = None
        self._unsent = b""
        self._ended = False  # whether the peer will send nothing more
        self._events = READ  # what the socket is watched for

    # -- what happens, told to whoever derives from this -----------------------------------

    def ready(self, events: int) -> None:
        """Read and write what can be read and written."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Let go of the connection after an error of ours."""
        raise NotImplementedError

    def _heard(self, octets: bytes) -> None:
        """Take octets of the peer's, in the clear."""
        raise NotImplementedError

    def _end(self) -> None:
        """Take note that the peer will send nothing more; it may still read."""
        raise NotImplementedError

    def _tls_agreed(self, tls: Tls) -> None:
        """Go on: the handshake is through."""
        raise NotImplementedError

    def _tls_failed(self, reason: str) -> None:
        """Go on: there will be no TLS, and nothing else can be said."""
        raise NotImplementedError

    # -- octets in -------------------------------------------------------------------------

    def _read(self, most: int) -> None:
        """Read at most so many octets (0 = as many as fit), and pass them on."""
        try:
            count = self._socket.recv_into(BUFFER, most, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._end()
        elif self._layer is not None:
            self._read_tls(self._layer, bytes(VIEW[:count]))
        else:
            self._heard(bytes(VIEW[:count]))

    def _read_tls(self, layer: Layer, octets: bytes) -> None:
        """Pass octets through the TLS layer; handshake first, then data."""
        layer.feed(octets)
        try:
            if not layer.agreed and layer.handshake():
                self._send_raw(layer.outgoing())
                self._tls_agreed(layer.terms(implicit=self._place.implicit_tls))
            clear = layer.read() if layer.agreed else b""
        except ssl.SSLError as trouble:
            self._send_raw(layer.outgoing())  # the alert
            if layer.agreed:
                self._end()
            else:
                self._tls_failed(trouble.reason or trouble.strerror or "unknown")
            return
        self._send_raw(layer.outgoing())
        if clear:
            self._heard(clear)
        if layer.ended and not self._ended:
            self._end()

    def _more_than(self, octets: bytes) -> bytes:
        """Return what filled the first read, with what lies behind it."""
        try:
            count = self._socket.recv_into(BUFFER, 0, MSG_DONTWAIT)
        except OSError:
            return octets  # it was all; or the next read finds out what is the matter
        return octets + VIEW[:count]

    # -- octets out ------------------------------------------------------------------------

    def _send(self, octets: bytes) -> None:
        """Send what can be sent and keep the rest."""
        if self._layer is not None and self._layer.agreed:
            try:
                octets = self._layer.write(octets)
            except ssl.SSLError:
                self._broken()
                return
        self._send_raw(octets)

    def _send_raw(self, octets: bytes) -> None:
        """Send octets as they go over the wire."""
        if not octets:
            return
        if self._unsent:
            self._unsent += octets
            return
        try:
            count = self._socket.send(octets, FLAGS)
        except BlockingIOError:
            count = 0
        except OSError:
            self._broken()
            return
        if count < len(octets):
            self._unsent = octets[count:]
            self._watch(self._events | WRITE)
        else:
            self._session.drained()

    def _flush(self) -> bool:
        """Send more of what the peer did not take at once; tell whether all went."""
        octets, self._unsent = self._unsent, b""
        self._send_raw(octets)
        if self._unsent:
            return False
        self._watch(self._events & ~WRITE)
        return True

    def _broken(self) -> None:
        """Note that the peer takes nothing any more."""
        self._unsent = b""
        self._session.drained()
        self._ended = True
        self._session.end()
        self._watch(0)

    def _watch(self, events: int) -> None:
        """Watch the socket for these events; for none at all, not even for a hang-up."""
        if self._events == events:
            return
        self._place.loop.change(self._socket.fileno(), self._events, events)
        self._events = events

    def _hang_up(self) -> None:
        """Give the socket back."""
        # Closing ends the watch as well, which saves a system call.
        self._place.loop.handlers.pop(self._socket.fileno(), None)
        self._events = 0
        self._socket.close()
