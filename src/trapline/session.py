"""The Session: the only thing a trap may await.

It holds octets, not sockets.  A driver (``serve`` for real connections, ``rehearsal``
for tests) feeds it, steps the trap's coroutine by hand and satisfies what the coroutine
yields: a :class:`Need`.  When the buffer already holds what is asked for, the verbs
return without suspending, so a pipelined group costs one step.

Must not be in here: I/O, clocks, the wording of any protocol.
"""

import enum
import types
from collections.abc import Generator
from typing import Final, Protocol

import msgspec

from trapline import dots
from trapline.errors import Gone
from trapline.events import Event

DIALOGUE: Final = 16 * 2**10  # octets of dialogue kept for the record of one session
OUTBOX: Final = 64 * 2**10  # octets of replies that may wait for a slow reader
_LINE_COST: Final = 16  # what a line of dialogue costs besides its octets


class Need(enum.Enum):
    """What a suspended trap waits for."""

    INPUT = "more octets, or the end of them"
    DRAIN = "the peer to read what was written"
    COMMIT = "the recorded entry to be on disk"
    PAUSE = "``pause`` seconds to pass"
    TLS = "a TLS handshake to end"


class Endpoint(msgspec.Struct, frozen=True):
    """One end of a connection, as the kernel (or a trusted PROXY host) says."""

    address: str  # canonical text
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Tls(msgspec.Struct, frozen=True):
    """What a TLS handshake agreed on."""

    version: str
    cipher: str
    server_name: str = ""
    implicit: bool = False


class Content(msgspec.Struct, frozen=True):
    """A message as read from the wire, dots undone, terminator gone.

    ``octets`` is at most the limit asked for; ``size`` counts all that came.
    ``smuggling`` tells of an end-of-data sequence with a bare LF in it.
    """

    octets: bytes | bytearray
    size: int
    smuggling: bool = False


class Recorder(Protocol):
    """Where a session's facts go: the driver stamps them and keeps them."""

    def __call__(self, event: Event, content: bytes | bytearray, *, durable: bool) -> None:
        """Take an event; where it is ``durable`` the session waits for the commit."""


class _Suspend:
    """Awaitable that hands one Need to the driver."""

    __slots__ = ("need",)

    def __init__(self, need: Need) -> None:
        self.need = need

    def __await__(self) -> Generator[Need, None, None]:
        yield self.need


_INPUT: Final = Need.INPUT  # looking up a member of an enum takes its time
_DRAIN, _COMMIT, _PAUSE, _TLS = (_Suspend(need) for need in Need if need is not _INPUT)


class Session:
    """Octets in, octets out, facts recorded; see the module's docstring."""

    __slots__ = (
        "_at",
        "_chunk",
        "_ended",
        "_lines",
        "_outbox",
        "_room",
        "closing",
        "heard",
        "local",
        "now",
        "opened",
        "patience",
        "pause",
        "peer",
        "recorder",
        "said",
        "spent",
        "tls",
        "unsaid",
    )

    def __init__(
        self,
        peer: Endpoint,
        local: Endpoint,
        now: int,
        recorder: Recorder,
    ) -> None:
        self.peer, self.local = peer, local
        self.opened = self.now = now  # nanoseconds since 1970; the driver moves ``now``
        self.recorder = recorder
        self.patience = 300.0  # seconds of silence the trap endures; it may change this
        self.pause = 0.0
        self.tls: Tls | None = None
        self.closing = ""  # the reason for the record, said by the trap or the driver
        self.heard = self.said = self.unsaid = self.spent = 0
        self._lines: list[tuple[int, str, bytes]] = []  # when, who, what
        self._chunk: bytes = b""
        self._at = 0
        self._ended = False
        self._room = DIALOGUE
        self._outbox: list[bytes] = []

    # -- the trap's side ---------------------------------------------------------------

    async def read_line(self, limit: int) -> bytes:
        """Return the next line with its LF, or ``limit`` octets of a longer one.

        Raises:
            Gone: the peer closed before a whole line came.
            TimedOut: it stayed silent for longer than ``patience``.
        """
        searched = self._at
        while not (end := self._chunk.find(b"\n", searched) + 1):
            searched = len(self._chunk) - self._at  # feed() moves the rest to the front
            if searched >= limit:
                break
            await self._more()
        start = self._at
        if not 0 < end <= start + limit:
            end = start + limit
        self._at = end
        line = self._chunk[start:end]
        self._note("C", line, end - start)
        return line

    async def read(self, limit: int) -> bytes:
        """Return 1 to ``limit`` octets, as they come."""
        if self._at == len(self._chunk):
            await self._more()
        start = self._at
        self._at = min(len(self._chunk), start + limit)
        return self._chunk[start : self._at]

    async def read_sized(self, count: int, limit: int) -> Content:
        """Read exactly ``count`` octets and return the first ``limit`` of them (BDAT)."""
        kept, left = bytearray(), count
        while left:
            chunk = await self.read(left)
            left -= len(chunk)
            kept += chunk[: max(0, limit - len(kept))]
        self._note_body(count)
        return Content(kept, count)

    async def read_message(self, limit: int, *, loose: bool | None = False) -> Content:
        """Read what follows DATA, to the end-of-data sequence, dots undone.

        Args:
            limit: octets to keep; what comes after them is read, counted and dropped.
            loose: let ``LF . LF`` and ``LF . CR LF`` end the data as well, as servers
                without protection against smuggling do; None: only if the first line
                ends with a bare LF.

        Source:
            RFC 5321 sections 4.1.1.4 and 4.5.2: only a dot after CR LF is undone.
        """
        if self._at == len(self._chunk):
            await self._more()
        if whole := self._whole_message(limit):
            return whole
        kept, size = bytearray(), -2
        window = b"\r\n" + self._take()  # the data begins at the start of a line
        line_start = False  # whether CR LF was the last that left the window
        start = 2  # of the first line in the window
        if loose is None:
            loose = dots.bare_first_line(window, start)
        while (found := dots.end_of_data(window, loose=bool(loose))) is None:
            cut = max(0, len(window) - dots.SPLIT)
            cut -= window[cut - 1 : cut] == b"\r"
            piece = dots.undotted(window[:cut], line_start=line_start)
            line_start = window[cut - 2 : cut] == b"\r\n" if cut > 1 else line_start and not cut
            window = window[cut:]
            start = max(0, start - cut)
            size += len(piece)
            kept += piece[: max(0, limit + 2 - len(kept))]
            await self._more()
            window += self._take()
            if loose is None:
                loose = dots.bare_first_line(window, start)
        end, after = found
        piece = dots.undotted(window[:end], line_start=line_start)
        self._chunk, self._at = window, after
        size += len(piece)
        kept += piece[: max(0, limit + 2 - len(kept))]
        del kept[:2]  # the line start we put before; bytearray drops it without a copy
        self._note_body(size)
        return Content(kept, size, smuggling=window[max(0, end - 2) : after] != dots.END)

    async def write(self, octets: bytes) -> None:
        """Send octets; suspends only when the peer lets too much pile up."""
        self._outbox.append(octets)
        size = len(octets)
        self.said += size
        self._note("S", octets, size)
        if self.said - self.spent > OUTBOX:
            await _DRAIN

    async def wait(self, seconds: float) -> None:
        """Let time pass; what was written before goes out first."""
        self.pause = seconds
        await _PAUSE

    async def record(self, event: Event, content: bytes | bytearray = b"") -> None:
        """Return when the event (and the raw octets) are on disk.

        Raises:
            NotKept: they are not and will not be; nothing may be promised to the peer.
        """
        self.recorder(event, content, durable=True)
        await _COMMIT

    def note(self, event: Event) -> None:
        """Have the event written with the next commit, without waiting for it."""
        self.recorder(event, b"", durable=False)

    async def start_tls(self) -> Tls:
        """Do the server's part of a TLS handshake and return what was agreed.

        Octets that came in the clear behind the command are dropped (RFC 3207 section
        4.2); ask ``pending()`` first if they matter.

        Raises:
            Gone: the handshake failed; the connection is of no more use.
        """
        self._chunk, self._at = b"", 0
        await _TLS
        if self.tls is None:
            raise Gone
        return self.tls

    def pending(self) -> int:
        """Tell how many octets lie unread: early talk, pipelining, injection."""
        return len(self._chunk) - self._at

    def peek(self, limit: int) -> bytes:
        """Look at unread octets without taking them."""
        return self._chunk[self._at : self._at + limit]

    # -- the driver's side -------------------------------------------------------------

    def feed(self, octets: bytes) -> None:
        """Add what the peer sent."""
        self.heard += len(octets)
        if self._at == len(self._chunk):
            self._chunk = octets
        else:
            self._chunk = self._chunk[self._at :] + octets
        self._at = 0

    def end(self) -> None:
        """Tell the session that nothing more will come."""
        self._ended = True

    def outgoing(self) -> bytes:
        """Take what is to be sent."""
        box = self._outbox
        if not box:
            return b""
        octets = box[0] if len(box) == 1 else b"".join(box)
        box.clear()
        return octets

    @property
    def dialogue(self) -> tuple[tuple[int, str, str], ...]:
        """What was said so far, as ``events.SessionClosed`` tells it."""
        opened = self.opened
        return tuple(
            ((now - opened) // 1_000_000, who, octets.decode("latin-1"))
            for now, who, octets in self._lines
        )

    def drained(self) -> None:
        """Tell the session that the peer has taken all we wrote so far."""
        self.spent = self.said

    # -- within ------------------------------------------------------------------------

    @types.coroutine
    def _more(self) -> Generator[Need, None, None]:
        """Suspend until the peer sent something."""
        heard = self.heard
        while heard == self.heard:
            if self._ended:
                raise Gone
            yield _INPUT

    def _take(self) -> bytes:
        """Return all unread octets."""
        octets = self._chunk[self._at :]
        self._chunk, self._at = b"", 0
        return octets

    def _whole_message(self, limit: int) -> Content | None:
        """Take a message that came in one piece and has no dots to undo: nearly all do."""
        chunk, start = self._chunk, self._at
        end = dots.only_end_of_data(chunk, start)
        if not start < end <= start + limit:
            return None
        self._at = end + 3
        self._note_body(end - start)
        return Content(chunk[start:end], end - start)

    def _note(self, who: str, octets: bytes, size: int) -> None:
        """Keep a line of the dialogue for the record, within bounds."""
        if self._room < size:
            self.unsaid += size
            return
        self._room -= size + _LINE_COST
        self._lines.append((self.now, who, octets))

    def _note_body(self, size: int) -> None:
        """Keep the place and size of a message body in the dialogue."""
        self.unsaid += size
        if self._room >= 0:
            self._room -= _LINE_COST
            self._lines.append((self.now, "M", b"%d" % size))
