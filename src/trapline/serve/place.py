"""A place: what all connections of one listener in one worker share.

Must not be in here: octets, sockets.
"""

import ssl
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from trapline.errors import TraplineError
from trapline.persona import Identity, Persona
from trapline.serve import tls
from trapline.serve.log import Log
from trapline.serve.loop import Loop
from trapline.serve.plan import Limits
from trapline.session import Endpoint, Need, Session

Trap = Callable[[Session, Persona, Identity, Any], Coroutine[Need, None, None]]


class Place:
    """One listener's trap with all it needs; ``ids`` goes on through all places."""

    __slots__ = (
        "_context",
        "_local",
        "_local_text",
        "identity",
        "ids",
        "implicit_tls",
        "left",
        "limits",
        "log",
        "loop",
        "name",
        "persona",
        "sessions",
        "settings",
        "trap",
    )

    def __init__(  # noqa: PLR0913 - it is the list of what is shared
        self,
        *,
        name: str,
        trap: Trap,
        persona: Persona,
        identity: Identity,
        settings: object,
        loop: Loop,
        limits: Limits,
        log: Log,
        ids: Iterator[str],
        certificate: str,
        left: Callable[[str], None],
        implicit_tls: bool = False,
    ) -> None:
        self.name, self.trap, self.persona, self.identity = name, trap, persona, identity
        self.settings, self.loop, self.limits, self.log = settings, loop, limits, log
        self.ids, self.implicit_tls = ids, implicit_tls
        # Made now: once the sandbox stands, the key cannot be read any more.
        self._context = tls.context(Path(certificate)) if certificate else None
        self._local: Endpoint | None = None
        self._local_text = ""
        self.sessions = 0  # how many there were
        self.left = left  # told the peer's address when a connection is closed

    def text_of(self, local: Endpoint) -> str:
        """Return an endpoint as text; the usual one is always the same object."""
        if self._local is not local:
            self._local, self._local_text = local, str(local)
        return self._local_text

    def tls(self) -> ssl.SSLContext:
        """Return the context for TLS handshakes."""
        if self._context is None:
            raise TraplineError(f"{self.name}: a trap asked for TLS and has no certificate")
        return self._context

    def farewell(self, name: str) -> bytes:
        """Return the persona's words for an end it did not choose; none if it has none."""
        text = self.persona.replies.get(name)
        return self.persona.reply(name, {"host": self.identity.host}) if text else b""


def session_ids(index: int, started: int) -> Iterator[str]:
    """Yield session ids no other worker and no later start gives: ``0-mia2x3k1q-17``."""
    stem, digits = "", "0123456789abcdefghijklmnopqrstuvwxyz"
    microseconds = started // 1000
    while microseconds:
        microseconds, digit = divmod(microseconds, 36)
        stem = digits[digit] + stem
    return (f"{index}-{stem}-{number}" for number in count(1))
