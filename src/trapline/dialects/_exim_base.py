"""The part of Exim that words replies, counts errors, greets and says goodbye.

Must not be in here: what commands mean; any text that a stranger can see.
"""

from typing import Final

from trapline.dialects._exim_memory import Memory, date, message_id, process_id
from trapline.dialects._exim_message import read
from trapline.persona import Identity, Persona
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Answers, Dialogue, State

BLANKS: Final = " \t\n\v\f\r"
MEMORY: Final = "exim"  # where a Dialogue keeps ours
REPLIES: Final = frozenset(
    (
        *("AUTH_IN_MAIL", "AUTH_OK", "AUTH_REFUSED", "AUTH_REQUIRED", "AUTH_TWICE"),
        *("AUTH_UNADVERTISED", "BAD_AUTH", "BAD_BASE64", "BAD_BODY", "BAD_MECHANISM_NAME"),
        *("BANNER", "BDAT_NO_SIZE", "BDAT_OK", "BDAT_UNADVERTISED", "BDAT_ZERO", "BYE"),
        *("CANCELLED", "CHALLENGE", "CHUNKS_KEPT", "DATA_GO", "EHLO", "ETRN_DENIED"),
        *("ETRN_IN_MAIL", "EXPN_DENIED", "HEADERS_NOT_CRLF", "HEADERS_TOO_LONG", "HELO"),
        *("HELO_SYNTAX", "HELP", "HELP_TLS", "INITIAL_UNEXPECTED", "KEPT", "LOST"),
        *("LOST_IN_DATA", "MAIL_OK", "MALFORMED", "NEED_BDAT", "NEED_HELO", "NEED_RECIPIENT"),
        *("NEED_RSET", "NEED_SENDER", "NOOP", "NOT_KEPT", "NO_OPERAND", "NUL", "RCPT_OK"),
        *("REJECTED", "REJECTED_ALL", "RELAY_DENIED", "RSET", "SENDER_GIVEN"),
        *("SENDER_UNQUALIFIED", "SIZE", "STARTTLS_GO", "STARTTLS_TWICE", "SYNCHRONIZATION"),
        *("STARTTLS_UNADVERTISED", "TIMEOUT", "TIMEOUT_IN_DATA", "TLS_FAILED", "TLS_FIRST"),
        *("TOO_MANY_ERRORS", "TOO_MANY_MESSAGES", "TOO_MANY_NONMAIL", "TOO_MANY_RECIPIENTS"),
        *("TOO_MANY_UNKNOWN", "UNEXPECTED", "UNKNOWN", "UNKNOWN_MECHANISM", "UNKNOWN_USER"),
        *("UNQUALIFIED", "UTF8_NOT_ADVERTISED", "VRFY_DENIED", "VRFY_MALFORMED"),
    )
)


class Base:
    """Texts and numbers of one persona, and what every part of the dialect does with them."""

    splits, shuts = True, False
    loose = None  # LF . LF ends a message whose first line ends with LF

    def __init__(self, persona: Persona, identity: Identity) -> None:
        self.persona, self.identity, self.limits = persona, identity, persona.limits
        self.answers = Answers(persona)
        self.line = persona.limits["line"]
        self.keep = persona.limits["size"]
        self.mechanisms = persona.words("mechanisms")

    # -- what the engine asks ----------------------------------------------------------

    def banner(self, talk: Dialogue) -> Answer:
        """Greet with host and date; early talk is refused where it is not invited."""
        memory = self.memory(talk)
        if talk.pending and memory.synchronous:
            return self.say("SYNCHRONIZATION", Act.CLOSE)
        return self.say("BANNER", host=self.identity.host, date=date(talk.now))

    def not_kept(self, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Say that the spool is full."""
        return self.say("NOT_KEPT")

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Tell a peer that is gone that it is gone."""
        memory = self.memory(talk)
        if memory.failed or talk.tls:
            return b""
        in_data = memory.reading or talk.state is State.CHUNKS
        return self.say("LOST_IN_DATA" if in_data else "LOST", host=self.identity.host).reply

    def timed_out(self, talk: Dialogue) -> bytes:
        """Say that patience is over; not through TLS, see ``end``."""
        if talk.tls:
            return b""
        name = "TIMEOUT_IN_DATA" if self.memory(talk).reading else "TIMEOUT"
        return self.say(name, host=self.identity.host).reply

    # -- for the other parts -----------------------------------------------------------

    def memory(self, talk: Dialogue) -> Memory:
        """Return what this process remembers."""
        memory: Memory | None = talk.scratch.get(MEMORY)
        if memory is None:
            pid = process_id(talk.now, talk.peer, self.identity)
            waits = not self.persona.traits["pipe_connect"]
            memory = talk.scratch[MEMORY] = Memory(pid=pid, synchronous=waits)
        return memory

    def say(self, name: str, act: Act = Act.SAY, /, **fields: object) -> Answer:
        """Word a reply."""
        if fields:
            return self.answers.worded(name, fields, act)
        return self.answers.fixed(name, act)

    def refuse(self, name: str, talk: Dialogue, /, **fields: object) -> Answer:
        """Word a refusal that counts as an error; one too many is the last."""
        talk.errors += 1
        answer = self.say(name, **fields)
        if talk.errors <= self.limits["errors"]:
            return answer
        end = self.persona.reply("TOO_MANY_ERRORS", {"code": answer.reply[:3].decode()})
        return Answer(continued(answer.reply) + end, Act.CLOSE)

    def end(self, name: str, talk: Dialogue) -> Answer:
        """Hang up; Exim forgets that TLS is on, so that nobody there can read why."""
        return Answer(b"" if talk.tls else self.say(name).reply, Act.CLOSE)

    def count(self, answer: Answer, talk: Dialogue) -> Answer:
        """Count an error whose reply does not tell of too many."""
        talk.errors += 1
        if talk.errors <= self.limits["errors"]:
            return answer
        return Answer(answer.reply, Act.CLOSE)

    def size(self, talk: Dialogue) -> int:
        """Return how big a message may be."""
        return talk.policy.size or self.limits["size"]

    def no_recipients(self, verb: str, talk: Dialogue, memory: Memory) -> Answer:
        """Refuse DATA or BDAT; a client that could not know better is not blamed."""
        why = b""
        if memory.same and memory.why:
            told = self.say("REJECTED_ALL", why=memory.why.decode("latin-1").rstrip("\r\n"))
            why = continued(told.reply)
        if memory.pipelining and memory.last_rcpt:
            return Answer(why + self.say("REJECTED", verb=verb).reply)
        answer = self.refuse("NEED_RECIPIENT", talk, verb=verb)
        return Answer(why + answer.reply, answer.act)

    def kept(self, talk: Dialogue, memory: Memory) -> Answer:
        """Name a message that was taken."""
        return self.say("KEPT", id=message_id(talk.now, memory))

    def too_long(self, content: Content, talk: Dialogue) -> str:
        """Name the refusal of a message that is too long, or has too long a header."""
        size, limit = content.size, self.size(talk)
        if size > limit and size - content.octets.count(b"\r\n") > limit:
            return "SIZE"
        limit = self.limits["headers"]
        if size >= limit and read(content.octets).headers >= limit:
            return "HEADERS_TOO_LONG"
        return ""


def continued(reply: bytes) -> bytes:
    """Return a reply whose last line says that more follows."""
    at = reply.rfind(b"\n", 0, -1) + 4
    return reply[:at] + b"-" + reply[at + 1 :]
