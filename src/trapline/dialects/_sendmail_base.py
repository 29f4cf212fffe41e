"""The part of Sendmail that words replies, counts what comes too often, and remembers.

Must not be in here: what commands mean; any text that a stranger can see.
"""

from typing import Final

import msgspec

from trapline.dialects._sendmail_queue import QueueIds
from trapline.persona import Identity, Persona
from trapline.smtpwords import Act, Answer, Answers, Dialogue

SPACES: Final = " \t\n\v\f\r"
LINE: Final = 12288  # octets of a line that are read at once (MAXINPLINE)
LONGEST_WAIT: Final = 240  # seconds
SHORT: Final = 203  # octets shown of what a peer said
MEMORY: Final = "sendmail"  # where a Dialogue keeps ours
REPLIES: Final = frozenset(
    (
        *("ATTACK", "AUTH_ABORTED", "AUTH_BAD_BASE64", "AUTH_FAILED", "AUTH_IN_MAIL", "BYE"),
        *("AUTH_NO_MECHANISM", "AUTH_OK", "AUTH_REQUIRED", "AUTH_TWICE", "AUTH_UNAVAILABLE"),
        *("AUTH_UNKNOWN", "BAD_BODY", "BAD_CHARACTER", "BAD_HOST", "BAD_INITIAL", "BAD_NAME"),
        *("BAD_NOTIFY", "BAD_RET", "BAD_ROUTE", "BAD_VALUE", "BANNER", "BARE_CR", "BARE_LF"),
        *("BAD_SENDER_CHARACTER", "TOO_BIG", "COLON_IN_HOST"),
        *("BY_RANGE", "BY_SYNTAX", "CHALLENGE", "DATA_GO", "DATA_NEEDS_MAIL", "DUPLICATE"),
        *("EHLO", "ETRN", "ETRN_QUEUE", "ETRN_SYNTAX", "EXPN_DENIED", "HELO", "HELP"),
        *("HELP_UNKNOWN", "KEPT", "LIST_SYNTAX", "LOST_IN_DATA", "MAIL_OK", "MAIL_SYNTAX"),
        *("NEEDS_VALUE", "NEED_NAME", "NEED_RECIPIENT", "NOOP", "NOT_KEPT", "NO_DOMAIN"),
        *("NO_HOST", "NO_USER", "NO_USER_IN_ADDRESS", "PROTOCOL", "PROXY", "RCPT_NEEDS_MAIL"),
        *("RCPT_OK", "REJECTED", "RELAY_DENIED", "RSET", "SENDER_GIVEN", "SIZE", "SIZE_HUGE"),
        *("SIZE_INVALID", "STARTTLS_GO", "STARTTLS_SYNTAX", "TLS_AGAIN", "TLS_FIRST"),
        *("TLS_IN_MAIL", "TLS_UNAVAILABLE", "TOO_LONG", "TOO_MANY_BAD", "UNBALANCED_END"),
        *("UNBALANCED_PAREN", "UNBALANCED_PAREN_END", "UNBALANCED_QUOTE", "UNBALANCED_START"),
        *("UNIMPLEMENTED", "UNKNOWN", "UNKNOWN_PARAMETER", "UNKNOWN_USER", "VERB_DENIED"),
        *("VRFY_DENIED",),
    )
)


class Memory(msgspec.Struct):
    """What the process of a session remembers besides the engine."""

    first: bool = True  # no command was read yet: is it an open proxy's client?
    rejected: bool = False  # nothing but QUIT and small talk is answered any more
    tls_done: bool = False
    reading: bool = False
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    known: dict[str, str] = msgspec.field(default_factory=dict)  # recipients as first named


class Base:
    """Texts and numbers of one persona, and what every part of the dialect does with them."""

    splits, shuts = False, False
    line = LINE

    def __init__(self, persona: Persona, identity: Identity) -> None:
        self.persona, self.identity, self.limits = persona, identity, persona.limits
        self.answers = Answers(persona)
        self.keep = self.limits["keep"]
        self.strict = bool(persona.traits["strict"])
        self.loose = None if self.strict else True
        self.mechanisms = persona.words("mechanisms")
        self.queue_ids = QueueIds(identity)

    def not_kept(self, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Say that the queue's disk is full."""
        return self.answers.fixed("NOT_KEPT")

    def memory(self, talk: Dialogue) -> Memory:
        """Return what this process remembers."""
        memory: Memory | None = talk.scratch.get(MEMORY)
        if memory is None:
            memory = talk.scratch[MEMORY] = Memory()
        return memory

    def say(self, name: str, act: Act = Act.SAY, /, **fields: object) -> Answer:
        """Word a reply; it leaves in seven bits."""
        words = {k: seven(v) if isinstance(v, str) else v for k, v in fields.items()}
        return self.answers.worded(name, {"host": self.identity.host, **words}, act)

    def bad(self, name: str, talk: Dialogue, **fields: object) -> Answer:
        """Refuse a bad command; there may not be too many of them."""
        talk.errors += 1
        if talk.errors > self.limits["bad"]:
            return self.say("TOO_MANY_BAD", Act.CLOSE)
        return self.say(name, **fields)

    def slowed(
        self, answer: Answer, kind: str, memory: Memory, *, briefly: bool = False
    ) -> Answer:
        """Add the seconds that a command costs which came too often."""
        count = memory.counts[kind] = memory.counts.get(kind, 0) + 1
        over = count - self.limits[kind]
        if over < 0:
            return answer
        wait = count // self.limits[kind] if briefly else min(LONGEST_WAIT, 2 ** min(over, 8))
        return msgspec.structs.replace(answer, wait=float(max(wait, 1)))


def shown(text: str) -> str:
    """Return what a peer said, its middle left out where it is long."""
    if len(text) < SHORT:
        return text
    half = (SHORT - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def seven(text: str) -> str:
    """Return text as it leaves through a 7-bit reply."""
    return text if text.isascii() else "".join(chr(ord(c) & 0x7F) for c in text)
