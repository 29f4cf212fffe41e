"""What an Exim process remembers of its session, and how it names the messages in it.

Must not be in here: replies, and what commands mean.

Source: the flags and counters of smtp_in.c, receive.c (message ids) and tod.c, Exim 4.96.
"""

import datetime as dt
import email.utils
from typing import Final

import msgspec

from trapline.dialects._exim_message import Place
from trapline.persona import Identity

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TICK: Final = 5_000_000  # ns, how finely a message id tells the time
PIDS: Final = 2**22  # pid_max of a 64-bit Linux
FIRST_PID: Final = 700  # lower ones belong to what the machine started with
FORKS: Final = 13  # seconds for ten processes: how fast a small mail host counts pids up
FREE: Final = frozenset(("RSET", "HELO", "EHLO", "STARTTLS"))  # one of each per message


class Memory(msgspec.Struct):
    """Flags and counters besides the engine's; named after what they are for."""

    pid: int
    synchronous: bool  # whoever talks too early is thrown out
    tick: int = 0  # of the newest message id
    helo: bool = False
    esmtp: bool = False
    pipelining: bool = False  # offered in the last greeting
    pipelined: bool = False  # offered ever, and not forgotten by TLS
    chunking: bool = False
    tls_offered: bool = False
    auth_offered: bool = False
    utf8_offered: bool = False
    utf8: bool = False  # SMTPUTF8 was used: domains may have octets above 127 from now on
    unknown: int = 0
    nonmail: int = 0
    mails: int = 0
    free: set[str] = msgspec.field(default_factory=lambda: {*FREE, "AUTH"})
    rcpts: int = 0
    why: bytes | None = None  # what RCPT was answered first
    same: bool = True  # and whether it was never answered otherwise
    refused_mail: bool = False  # this command and the last: a MAIL that failed
    last_refused_mail: bool = False
    rcpt: bool = False  # this command and the last: a RCPT
    last_rcpt: bool = False
    asked: tuple[str, ...] = ()  # challenges of the AUTH dialogue that goes on
    reading: bool = False  # message data
    place: Place = Place.LINE
    astray: bool = False  # between chunks, only RSET helps
    zero: bool = False  # because of an empty chunk
    chunk: int = 0  # octets of the last chunk
    farewell: bytes = b""  # said before the answer to a message
    failed: bool = False  # TLS within TLS: nothing but QUIT helps

    def step(self) -> None:
        """Begin a command."""
        self.last_refused_mail, self.refused_mail = self.refused_mail, False
        self.last_rcpt, self.rcpt = self.rcpt, False

    def reset(self) -> None:
        """Forget the envelope."""
        self.rcpts, self.why, self.same = 0, None, True

    def start(self) -> None:
        """Begin to wait for a new message."""
        self.reset()
        self.free |= FREE
        self.refused_mail = self.rcpt = self.reading = self.astray = self.zero = False
        self.place, self.farewell = Place.LINE, b""

    def forget(self) -> None:
        """Forget what TLS makes one forget."""
        self.reset()
        self.helo = self.esmtp = self.auth_offered = False
        self.pipelining = self.pipelined = False
        self.free |= {"EHLO", "AUTH"}

    def answered(self, why: bytes) -> None:
        """Keep what RCPT was answered."""
        if self.why is None:
            self.why = why
        self.same = self.same and self.why == why


def process_id(now: int, peer: str, identity: Identity) -> int:
    """Return the id of the process that serves a session: it counts up with the clock."""
    start = int.from_bytes(identity.digest("pid")[:3])
    some = identity.digest("pid", peer, str(now))[0] % 8
    return FIRST_PID + (start + now // 10**8 // FORKS + some) % (PIDS - FIRST_PID)


def message_id(now: int, memory: Memory) -> str:
    """Return ``1xVQNc-00001M-39``: seconds, process, ticks; never twice in a session."""
    memory.tick = max(memory.tick + 1, now // TICK)
    seconds, ticks = divmod(memory.tick * TICK, 10**9)
    return f"{_digits(seconds, 6)}-{_digits(memory.pid, 6)}-{_digits(ticks // TICK, 2)}"


def date(now: int) -> str:
    """Return the date as RFC 2822 has it, in UTC."""
    moment = dt.datetime.fromtimestamp(now // 10**9, dt.UTC)
    return email.utils.format_datetime(moment)


def _digits(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits
