"""One connection: a socket on one side, a Session and its trap on the other.

The trap's coroutine is stepped by hand from here; what it yields (a :class:`Need`) is
satisfied here.  A peer gets one write for each step, and is read no faster than its trap
listens.  Whatever happens, the coroutine is closed and ``session.closed`` is recorded.

Must not be in here: who may connect (``door``), processes, the wording of any protocol.
"""

import types
from socket import MSG_DONTWAIT, SocketType
from typing import Any, Final

from msgspec.structs import asdict

from trapline.errors import Gone, NotKept, TimedOut
from trapline.events import Event, SessionClosed, SessionOpened, Stamp, TlsFailed, TlsStarted
from trapline.serve.loop import READ, WRITE
from trapline.serve.place import Place
from trapline.serve.tls import Layer
from trapline.serve.wheel import PER_SECOND
from trapline.serve.wire import LINES, Wire
from trapline.session import Endpoint, Need, Session, Tls

UNREAD: Final = 64 * 2**10  # octets that may wait for a trap that does not listen just now
LINGER: Final = 30.0  # seconds a peer may take to read our last words
BODIES: Final = {Session.read_message.__code__, Session.read_sized.__code__}
INPUT: Final = Need.INPUT
WORDS: Final = {"stopped": "SHUTDOWN", "limit": "TIMEOUT"}  # reason -> the persona's reply


class Connection(Wire):
    """Drives one session from the first octet to its record; see the module's docstring."""

    __slots__ = ("_coroutine", "_id", "_last", "_local", "_need", "_patient", "_why", "bucket")

    def __init__(
        self,
        place: Place,
        connected: SocketType,
        peer: Endpoint,
        local: Endpoint,
        via: str = "",
    ) -> None:
        super().__init__(place, connected)
        loop = place.loop
        self._id = next(place.ids)
        self._local = place.text_of(local)
        self._session = session = Session(peer, local, loop.wall, self)
        session.patience = place.limits.idle_seconds
        self._coroutine: Any = place.trap(
            session, place.persona, place.identity, place.settings
        )
        self._need: Need | None = None  # what the trap waits for; None once it is over
        self._why = ""  # our own reason to end the session
        self._patient = self._last = loop.now + place.limits.session_seconds
        self.bucket = 0
        place.sessions += 1
        loop.keeper.crowd += 1
        loop.watch(connected.fileno(), self, READ)
        self(SessionOpened(via=via), b"", durable=False)
        if place.implicit_tls:
            self._start_tls()
            return
        self._read(UNREAD)  # who talks before the banner is to be found out by the trap
        if self._coroutine is not None:
            self._step()

    # -- what the loop, the wheel and the keeper call ----------------------------------

    def ready(self, events: int) -> None:
        """Read and write what can be read and written; the common case is here."""
        if events != READ or self._need is not INPUT or self._layer is not None:
            self._serve(events)
            return
        try:
            octets = self._socket.recv(LINES, MSG_DONTWAIT)
        except OSError:
            octets = b""
        if not octets:
            self._serve(events)  # it finds out what is the matter
            return
        if len(octets) == LINES:
            octets = self._more_than(octets)
        session = self._session
        session.feed(octets)
        if session.heard > self._place.limits.session_octets:
            self.dismiss("limit")
        else:
            self._step()

    def _serve(self, events: int) -> None:
        """Read and write what can be read and written, whatever the state."""
        if self._unsent and events != READ and self._flush():
            self._flushed()
        if self._events & READ and events != WRITE:
            self._read(0 if self._need is INPUT else UNREAD)

    @property
    def deadline(self) -> float:
        """Return when the peer was silent, or is here, for too long."""
        return min(self._patient, self._last)

    def expired(self) -> None:
        """Act: the deadline has passed."""
        now = self._place.loop.now
        if self._coroutine is None:
            self._close()
        elif self._need is Need.COMMIT:
            self._wait(Need.COMMIT, 1.0)  # it is promised; the next commit ends it
        elif now >= self._last:
            self.dismiss("limit")
        elif self._need is Need.PAUSE:
            self._step()
        elif self._need is Need.TLS:
            self._tls_failed("timed out")
        elif self._need is INPUT:
            self._step(TimedOut())
        else:
            self.dismiss("timeout")

    def committed(self, failure: NotKept | None) -> None:
        """Go on: the record is on disk, or it is not and will not be."""
        self._step(failure)

    def abandon(self) -> None:
        """Let go of the connection after an error of ours."""
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = None
        self._close()

    def go_on(self) -> None:
        """Do the next part, if there still is one."""
        if self._need is Need.DRAIN and not self._unsent:
            self._step()

    # -- what the worker calls ---------------------------------------------------------

    def receiving(self) -> bool:
        """Tell whether the peer is in the middle of a message."""
        inner: object = self._coroutine
        while isinstance(inner, types.CoroutineType):
            if inner.cr_code in BODIES:
                return True
            inner = inner.cr_await
        return False

    def dismiss(self, why: str, *, wait: bool = False) -> None:
        """End the session for a reason of ours; ``wait`` lets a running message come in."""
        self._why = self._why or why
        if self._coroutine is None or self._need is Need.COMMIT:
            return  # it ends by itself, or as soon as what was promised is done
        if not (wait and self.receiving()):
            self._say_why()
            self._step(Gone())

    def _say_why(self) -> None:
        """Say the persona's words for the reason, where it has any."""
        words = self._place.farewell(WORDS.get(self._why, ""))
        if words and self._need is not Need.TLS:
            self._send(words)

    # -- octets ------------------------------------------------------------------------

    def _heard(self, octets: bytes) -> None:
        if self._coroutine is None:
            return  # it is over; what is still said is not heard
        session = self._session
        session.feed(octets)
        if session.heard > self._place.limits.session_octets:
            self.dismiss("limit")
        elif self._need is INPUT:
            self._step()
        elif session.pending() > UNREAD:
            self._watch(self._events & ~READ)

    def _end(self) -> None:
        self._ended = True
        self._session.end()
        self._watch(self._events & ~READ)
        if self._need is INPUT:
            self._step()
        elif self._need is Need.TLS:
            self._tls_failed("the peer closed")

    def _flushed(self) -> None:
        """Go on: the peer has taken all there was."""
        if self._coroutine is None:
            self._close()
        elif self._need is Need.DRAIN:
            self._step()

    # -- TLS ---------------------------------------------------------------------------

    def _start_tls(self) -> None:
        self._layer = Layer(self._place.tls())
        self._wait(Need.TLS, self._place.limits.handshake_seconds)
        if self._ended:
            self._tls_failed("the peer closed")

    def _tls_agreed(self, tls: Tls) -> None:
        self._session.tls = tls
        self(TlsStarted(**asdict(tls)), b"", durable=False)
        self._step()

    def _tls_failed(self, reason: str) -> None:
        self(TlsFailed(reason=reason), b"", durable=False)
        self._session.end()
        self._ended, self._layer = True, None
        self._step(Gone())

    # -- the trap ----------------------------------------------------------------------

    def _step(self, failure: Exception | None = None) -> None:
        """Let the trap go on until it waits for something that is not there yet."""
        session, coroutine, loop = self._session, self._coroutine, self._place.loop
        session.now = loop.wall
        while True:
            try:
                need = coroutine.send(None) if failure is None else coroutine.throw(failure)
            except Exception as end:  # noqa: BLE001 - whatever a trap does, the shell lives
                self._over(end)
                return
            if octets := session.outgoing():
                if self._layer is None:
                    self._send_raw(octets)
                else:
                    self._send(octets)
            if need is INPUT and not self._ended and not self._why:
                self._need = need
                self._patient = patient = loop.now + session.patience
                if self.bucket > patient * PER_SECOND or not self.bucket:
                    loop.wheel.hang(self)
                if not self._events & READ:
                    self._watch(self._events | READ)
                return
            if not self._again(need):
                return
            failure = None

    def _again(self, need: Need) -> bool:
        """Arrange for what the trap needs; True if it can go on at once."""
        if self._why and need is not Need.COMMIT and not self.receiving():
            self._say_why()
            self._coroutine.close()
            self._over(Gone())
            return False
        match need:
            case Need.INPUT:
                if self._ended:
                    return True  # the session itself tells the trap
                self._wait(need, self._session.patience)
            case Need.COMMIT:
                self._need = need
                self._place.loop.keeper.wait(self, self._place.loop.now)
            case Need.PAUSE:
                self._wait(need, self._session.pause)
            case Need.DRAIN:
                self._wait(need, self._session.patience)
                if not self._unsent:  # the peer is quick: one that floods us waits its turn
                    self._place.loop.soon.append(self)
            case Need.TLS:
                self._start_tls()
        return False

    def _wait(self, need: Need, seconds: float) -> None:
        """Wait for something, but not for ever."""
        loop = self._place.loop
        self._need = need
        self._patient = loop.now + seconds
        loop.wheel.hang(self)

    def _over(self, end: Exception) -> None:
        """Record the end of the session; close once the peer has read our last words."""
        session, self._coroutine, self._need = self._session, None, None
        match end:
            case StopIteration():
                why = session.closing or "quit"
            case Gone():
                why = session.closing or "gone"
            case TimedOut():
                why = session.closing or "timeout"
            case _:
                why = "error"
                self._place.log.once(end)
        octets = session.outgoing()
        if why == "error":
            octets += self._place.farewell("DYING")
        if octets:
            self._send(octets)
        self(self._closed(self._why or why), b"", durable=False)
        if self._layer is not None and self._layer.agreed:
            self._send_raw(self._layer.farewell())
        if not self._unsent:
            self._close()
            return
        self._watch(WRITE)
        self._patient = self._last = self._place.loop.now + LINGER
        self._place.loop.wheel.hang(self)

    def _closed(self, why: str) -> SessionClosed:
        session = self._session
        return SessionClosed(
            seconds=max(0, self._place.loop.wall - session.opened) / 1e9,
            received=session.heard,
            sent=session.said,
            reason=why,
            dialogue=tuple(session.dialogue),
            unsaid=session.unsaid,
        )

    def _close(self) -> None:
        """Give the socket back and forget everything."""
        place = self._place
        if self._socket.fileno() < 0:
            return
        self._hang_up()
        place.loop.wheel.drop(self)
        place.loop.keeper.crowd -= 1
        place.left(self._session.peer.address)
        self._session.recorder = _forget  # else the two keep each other alive

    def __call__(self, event: Event, content: bytes | bytearray, *, durable: bool) -> None:
        """Stamp a fact and hand it to the journal: the session's recorder."""
        place, peer = self._place, self._session.peer
        loop = place.loop
        stamp = Stamp(
            at=loop.wall,
            sensor=place.name,
            session=self._id,
            peer=peer.address,
            port=peer.port,
            local=self._local,
        )
        try:
            loop.keeper.take(stamp, event, content, loop.now)
        except NotKept:
            if durable:
                raise  # a note lost on a full disk is told by journal.short, once


def _forget(event: Event, content: bytes | bytearray, *, durable: bool) -> None:
    del event, content, durable
