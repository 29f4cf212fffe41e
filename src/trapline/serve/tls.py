"""TLS between the socket and the session: octets in, octets out, no socket of its own.

Old spam software speaks old TLS: everything from TLS 1.0 on is taken, with the ciphers
OpenSSL still has.  There is nothing to protect here but the imitation.

Must not be in here: sockets, what the certificate says (``certificate``).
"""

import contextlib
import ssl
import warnings
from pathlib import Path
from typing import Final

from trapline.session import Tls

CIPHERS: Final = "ALL:!aNULL:!eNULL:@SECLEVEL=0"  # level 0: TLS 1.0 and 1.1 need SHA-1
PIECE: Final = 64 * 2**10


def context(pem: Path) -> ssl.SSLContext:
    """Make a server's context from a file with key and certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem)
    made.set_ciphers(CIPHERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old on purpose, see above
        made.minimum_version = ssl.TLSVersion.TLSv1
    made.sni_callback = _remember_name
    return made


def _remember_name(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    connection.heard_name = name or ""  # type: ignore[attr-defined]


class Layer:
    """One connection's TLS, server's side."""

    __slots__ = ("_in", "_out", "_tls", "agreed", "ended")

    def __init__(self, settings: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = settings.wrap_bio(self._in, self._out, server_side=True)
        self.agreed = False
        self.ended = False  # the peer said that nothing more will come

    def feed(self, octets: bytes) -> None:
        """Add what the socket brought."""
        self._in.write(octets)

    def outgoing(self) -> bytes:
        """Take what the socket is to send."""
        return self._out.read() if self._out.pending else b""

    def handshake(self) -> bool:
        """Go on with the handshake; True once it is through.

        Raises:
            ssl.SSLError: it failed.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.agreed = True
        return True

    def read(self) -> bytes:
        """Return what can be read in the clear.

        Raises:
            ssl.SSLError: the peer broke the protocol.
        """
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(PIECE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.ended = True
                break
            pieces.append(piece)
        return b"".join(pieces)

    def write(self, octets: bytes) -> bytes:
        """Return the octets as the socket is to send them."""
        self._tls.write(octets)
        return self._out.read()

    def farewell(self) -> bytes:
        """Return the close_notify alert, as far as the connection still allows one."""
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._tls.unwrap()
        return self.outgoing()

    def terms(self, *, implicit: bool) -> Tls:
        """Tell what was agreed."""
        cipher = self._tls.cipher()
        return Tls(
            version=self._tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=getattr(self._tls, "heard_name", ""),
            implicit=implicit,
        )
