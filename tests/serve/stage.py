"""A stage for the serve shell: its real loop and sockets, in a thread, with traps of ours."""

import hashlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trapline.errors import NotKept
from trapline.events import Event, MailOffered, Stamp
from trapline.persona import Identity, Persona
from trapline.serve.connection import Connection
from trapline.serve.door import Door
from trapline.serve.keeper import Keeper
from trapline.serve.limits import Guests
from trapline.serve.log import Log
from trapline.serve.loop import READ, Loop
from trapline.serve.place import Place, Trap
from trapline.serve.plan import BACKLOG, Limits
from trapline.serve.worker import connections
from trapline.session import Session

IDENTITY = Identity("mx1.oakmill17.example", b"0" * 32)
PERSONA = Persona(
    name="mini",
    software="Mini 1",
    dialect="none",
    replies={
        "TOO_MANY": "421 {host} Error: too many connections",
        "SHUTDOWN": "421 {host} going down",
        "TIMEOUT": "421 {host} Error: timeout exceeded",
    },
)
LONG = 300_000  # octets: more than waits for a slow reader
PATIENCE = 10.0  # seconds; a bound, not an expectation


async def mini(session: Session, persona: Persona, identity: Identity, settings: Any) -> None:  # noqa: ANN401
    """Play just enough SMTP to be given messages."""
    del persona, settings
    await session.write(b"220 %b ESMTP\r\n" % identity.host.encode())
    while True:
        verb = (await session.read_line(1000))[:4].upper()
        match verb:
            case b"DATA":
                await session.write(b"354 go\r\n")
                await _keep(session)
            case b"STAR":
                await session.write(b"220 go\r\n")
                await session.start_tls()
            case b"QUIT":
                await session.write(b"221 bye\r\n")
                return
            case b"WAIT":
                await session.wait(0.2)
                await session.write(b"250 waited, %d unread\r\n" % session.pending())
            case b"BOOM":
                raise ZeroDivisionError
            case b"LONG":
                await session.write(b"x" * LONG)
                await session.write(b"250 long\r\n")
            case _:
                await session.write(b"250 ok\r\n")


async def _keep(session: Session) -> None:
    content = await session.read_message(64 * 2**20)
    digest = hashlib.sha256(content.octets).hexdigest()
    event = MailOffered(
        sender="", recipients=(), content=digest, size=content.size, kept=content.size
    )
    try:
        await session.record(event, content.octets)
        await session.write(b"250 kept\r\n")
    except NotKept:
        await session.write(b"452 full\r\n")


class Memory:
    """A journal that remembers, and refuses when told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[Stamp, Event, bytes]] = []
        self.kept: list[tuple[Stamp, Event, bytes]] = []
        self.commits = self.reserve = 0
        self.full = False

    def append(self, stamp: Stamp, event: Event, content: bytes | bytearray = b"") -> str:
        """Take a record."""
        self.taken.append((stamp, event, bytes(content)))
        return ""

    def commit(self, *, spare_nothing: bool = False) -> None:
        """Keep what was taken."""
        del spare_nothing
        self.commits += 1
        taken, self.taken = self.taken, []
        if self.full:
            raise NotKept("full, on purpose")
        self.kept += taken

    def look(self) -> int:
        """Return what is free."""
        return 0 if self.full else 2**30

    def close(self) -> None:
        """Nothing is open."""

    def events(self, kind: type[Event]) -> list[Any]:
        """Return what was kept of one kind."""
        return [event for _, event, _ in self.kept if isinstance(event, kind)]


class Stage:
    """One listener on loopback, and the loop that serves it."""

    def __init__(self, trap: Trap, journal: Any, limits: Limits, **options: Any) -> None:  # noqa: ANN401
        self.journal, self.stopped = journal, False
        self.keeper = Keeper(journal, Log("test"))
        self.loop = Loop(self.keeper, Log("test"))
        self.guests = Guests(limits)
        family = socket.AF_INET6 if options.pop("six", False) else socket.AF_INET
        networks = options.pop("networks", ())
        self.place = Place(
            name="mini",
            trap=trap,
            persona=options.pop("persona", PERSONA),
            identity=IDENTITY,
            settings=None,
            loop=self.loop,
            limits=limits,
            log=Log("test"),
            ids=(f"0-{number}" for number in itertools.count(1)),
            certificate=options.pop("certificate", ""),
            left=self.guests.leave,
            implicit_tls=options.pop("implicit_tls", False),
        )
        assert not options, options
        self.listening = socket.socket(family)
        self.listening.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.listening.listen(BACKLOG)
        self.address = self.listening.getsockname()[:2]
        self.door = Door(self.place, self.listening, self.guests, networks)
        self.loop.watch(self.listening.fileno(), self.door, READ)
        self._calls: list[Callable[[], object]] = []
        self._bell, self._rope = socket.socketpair()
        self.loop.watch(self._bell.fileno(), self, READ)
        self.thread = threading.Thread(target=self.loop.run, args=(lambda: self.stopped,))

    def ready(self, events: int) -> None:
        """Do what another thread asked for."""
        del events
        self._bell.recv(64)
        while self._calls:
            self._calls.pop(0)()

    def abandon(self) -> None:
        """Stay."""

    def call(self, act: Callable[[], object]) -> None:
        """Have something done in the loop's thread, and wait for it."""
        done = threading.Event()
        self._calls += [act, done.set]
        self._rope.send(b"x")
        assert done.wait(PATIENCE)

    def settle(self) -> None:
        """Commit what is pending."""
        self.call(self.keeper.commit)

    def connections(self) -> list[Connection]:
        """Return the open connections."""
        return connections(self.loop)

    def connect(self) -> socket.socket:
        """Connect a client."""
        return socket.create_connection(self.address, PATIENCE)

    def end(self) -> None:
        """Stop the loop and close everything."""
        if self.thread.is_alive():
            self.call(lambda: setattr(self, "stopped", True))
        self.thread.join(PATIENCE)
        for connection in self.connections():
            connection.dismiss("stopped")
        self.keeper.commit()
        for connection in self.connections():
            connection._close()  # it had more to say to a peer that does not read
        for one in (self.listening, self._bell, self._rope):
            one.close()
        self.loop.close()


@contextmanager
def stage(
    trap: Trap = mini,
    journal: Any = None,  # noqa: ANN401
    limits: Limits | None = None,
    **options: Any,  # noqa: ANN401
) -> Iterator[Stage]:
    """Serve a trap until the block ends."""
    one = Stage(trap, journal or Memory(), limits or Limits(), **options)
    one.thread.start()
    try:
        yield one
    finally:
        one.end()


def answer(client: socket.socket, octets: bytes, lines: int = 1) -> bytes:
    """Send octets and return the next lines that come back (fewer if the end comes)."""
    client.sendall(octets)
    return heard(client, lines)


def heard(client: socket.socket, lines: int = 1) -> bytes:
    """Return the next lines, read octet by octet so that nothing of the rest is taken."""
    got = b""
    while got.count(b"\n") < lines:
        if not (octet := client.recv(1)):
            break
        got += octet
    return got


def rest(client: socket.socket) -> bytes:
    """Return everything until the end, also where the end is a reset (unread octets)."""
    got = b""
    try:
        while piece := client.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got
