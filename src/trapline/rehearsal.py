"""Rehearsal: play a dialogue with a trap from memory, without an event loop.

``rehearse(trap, octets, persona)`` steps the trap's coroutine by hand, as ``serve`` does
for real connections, and fails if it awaits anything but its Session.  Time stands still
but for the pauses the trap asks for.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from trapline.errors import Gone, NotKept
from trapline.events import Event
from trapline.session import Endpoint, Need, Session, Tls

NOON: Final = 1_763_899_200_000_000_000  # 2025-11-23 12:00:00 UTC, in nanoseconds
PEER: Final = Endpoint("192.0.2.7", 40000)
LOCAL: Final = Endpoint("192.0.2.25", 25)


class Rehearsal:
    """What happened on stage: ``written`` octets, ``recorded`` and ``noted`` events.

    ``contents`` holds the raw octets recorded with each entry of ``recorded``.
    """

    def __init__(self, *, disk_full: bool = False, tls: Tls | None = None) -> None:
        self.written = b""
        self.recorded: list[Event] = []
        self.contents: list[bytes] = []
        self.noted: list[Event] = []
        self.paused = 0.0
        self.disk_full, self.tls = disk_full, tls
        self.session = Session(PEER, LOCAL, NOON, self._keep)

    def _keep(self, event: Event, content: bytes | bytearray, *, durable: bool) -> None:
        if not durable:
            self.noted.append(event)
        elif not self.disk_full:
            self.recorded.append(event)
            self.contents.append(bytes(content))

    def play(self, trap: Coroutine[Need, None, None], heard: Iterable[bytes]) -> "Rehearsal":
        """Step the trap to its end; the octets come in the pieces given, then the end."""
        pieces, failure = iter(heard), None
        session = self.session
        while True:
            try:
                need: Any = trap.throw(failure) if failure else trap.send(None)
            except (StopIteration, Gone):
                break
            finally:
                self.written += session.outgoing()
                session.drained()
            failure = None
            match need:
                case Need.INPUT:
                    if (piece := next(pieces, None)) is None:
                        session.end()
                    else:
                        session.feed(piece)
                case Need.PAUSE:
                    self.paused += session.pause
                    session.now += int(session.pause * 1e9)
                case Need.COMMIT:
                    failure = NotKept("rehearsed: disk full") if self.disk_full else None
                case Need.TLS:
                    session.tls = self.tls
                case Need.DRAIN:
                    pass
                case _:
                    raise AssertionError(f"the trap awaited {need!r}, not its session")
        return self


def rehearse(
    trap: Callable[..., Coroutine[Need, None, None]],
    heard: bytes | Iterable[bytes],
    *arguments: object,
    disk_full: bool = False,
    tls: Tls | None = None,
) -> Rehearsal:
    """Play ``heard`` to ``trap(session, *arguments)`` and return what happened."""
    stage = Rehearsal(disk_full=disk_full, tls=tls)
    pieces = [heard] if isinstance(heard, bytes) else heard
    return stage.play(trap(stage.session, *arguments), pieces)
