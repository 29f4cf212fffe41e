"""Play a dialogue, over TCP or in memory, and write down what was answered to each step."""

import contextlib
import itertools
import re
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

import msgspec
from tests.fidelity.script import Dialogue, Step

from trapline.rehearsal import Rehearsal
from trapline.session import Need, Session, Tls

Connect = Callable[[], socket.socket]
Trap = Callable[[Session], Coroutine[Need, None, None]]
Player = Callable[[Dialogue], "Transcript"]

PATIENCE: Final = 4.0  # seconds to wait for a reply that was expected
GRACE: Final = 0.03  # seconds to see whether more comes than was expected
LAST: Final = 0.6  # seconds to see whether the server closes; Exim waits 0.2 for our FIN
AGREED: Final = b"<TLS>"
FAILED: Final = b"<no TLS>"
TLS: Final = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
_FINAL: Final = re.compile(rb"^\d{3}(?:[^-\r\n].*)?\r\n", re.MULTILINE)


class Transcript(msgspec.Struct, frozen=True):
    """What was heard: first the greeting, then an answer to each step."""

    heard: tuple[bytes, ...]
    closed: bool  # by the server, when all was said
    waits: tuple[float, ...] = ()  # seconds the trap took before each answer


class Wire:
    """A TCP connection that collects replies."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.closed = False

    def send(self, octets: bytes) -> None:
        """Send; that the server is gone shows when we listen."""
        with contextlib.suppress(OSError):
            self.connection.sendall(octets)

    def listen(self, replies: int, patience: float = PATIENCE) -> bytes:
        """Return ``replies`` replies and whatever else comes at once."""
        heard = b""
        while not self.closed:
            enough = len(_FINAL.findall(heard)) >= replies
            piece = self._receive(GRACE if enough else patience)
            if piece is None:
                break
            heard += piece
        return heard

    def handshake(self) -> bytes:
        """Speak TLS from now on; the certificate is the server's own affair."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection.settimeout(PATIENCE)
        try:
            self.connection = context.wrap_socket(self.connection)
        except OSError:
            self.closed = True
            return FAILED
        return AGREED

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def finish(self) -> None:
        """Close our half of the connection."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def _receive(self, patience: float) -> bytes | None:
        self.connection.settimeout(patience)
        try:
            piece = self.connection.recv(65536)
        except TimeoutError:
            return None
        except OSError:
            piece = b""
        self.closed = not piece
        return piece


def over_tcp(
    dialogue: Dialogue, connect: Connect, like: Transcript | None = None
) -> Transcript:
    """Play a dialogue with whatever listens there.

    ``like`` is what somebody else answered: how many replies to wait for.  Some servers
    take a second over the last one; were it not waited for, it would come a step too late.
    """
    with contextlib.closing(Wire(connect())) as wire:
        heard, steps = list[bytes](), list(dialogue.steps)
        early = steps.pop(0) if steps[0].how == "early" else Step(b"", 0)
        wanted = [1 + early.replies, *(step.replies for step in steps)]
        patience = [PATIENCE] * len(wanted)
        if like is not None:
            wanted = [len(_FINAL.findall(answer)) for answer in like.heard]
            patience = [PATIENCE + wait for wait in like.waits] or patience
        wire.send(early.octets)
        heard.append(wire.listen(wanted[0], patience[0]))
        for step, replies, seconds in zip(steps, wanted[1:], patience[1:], strict=True):
            heard.append(_act(wire, step, replies, seconds))
        heard[-1] += wire.listen(99, LAST)
        return Transcript(tuple(heard), wire.closed)


def _act(wire: Wire, step: Step, replies: int, patience: float) -> bytes:
    match step.how:
        case "tls":
            return wire.handshake()
        case "wait":
            time.sleep(step.seconds)
        case "end":
            wire.finish()
        case "octets":
            for octet in step.octets:
                wire.send(bytes([octet]))
                time.sleep(0.001)
        case _:
            wire.send(step.octets)
    return wire.listen(replies, patience)


def in_memory(dialogue: Dialogue, trap: Trap) -> Transcript:
    """Play a dialogue with a trap, without an event loop; time stands still."""
    stage = Rehearsal()
    heard, waits, steps = list[bytes](), list[float](), list(dialogue.steps)
    if steps[0].how == "early":
        stage.session.feed(steps.pop(0).octets)
    ended = failed = False
    done, paused = 0, 0.0

    def listen(told: bytes = b"") -> None:
        nonlocal done, paused
        heard.append(told + stage.written[done:])
        waits.append(stage.paused - paused)
        done, paused = len(stage.written), stage.paused

    def client() -> Iterator[bytes]:
        nonlocal ended, failed
        listen()
        for step, then in itertools.zip_longest(steps, steps[1:]):
            failed = step.how == "tls" and stage.session.tls is None
            if failed or step.how == "end":
                break
            stage.tls = TLS if then is None or then.how == "tls" else None
            yield from _pieces(step, stage.session)
            listen(AGREED if step.how == "tls" else b"")
        ended = True

    stage.play(trap(stage.session), client())
    closed = not ended or (len(heard) <= len(steps) and not failed)
    if closed:
        listen()
    heard += [FAILED] * (failed and len(heard) <= len(steps))
    heard += [b""] * (1 + len(steps) - len(heard))
    waits += [0.0] * (1 + len(steps) - len(waits))
    return Transcript(tuple(heard), closed or failed, tuple(waits))


def _pieces(step: Step, session: Session) -> Iterator[bytes]:
    match step.how:
        case "octets":
            yield from (bytes([octet]) for octet in step.octets)
        case "wait":
            session.now += int(step.seconds * 1e9)
        case "tls":
            pass
        case _:
            yield step.octets
