"""Sendmail: what it says to whom, when it slows down, how it names queue files.

Limits: ``line`` octets of a command (a longer one is an attack), ``size`` of a message (0:
any), ``bad`` commands, and how often a peer may say HELO or EHLO (``hello``), VRFY or EXPN
(``verify``), ETRN (``etrn``), NOOP (``noop``), AUTH (``auth``) before each costs seconds.
Traits: ``mechanisms``; ``strict`` (a bare CR or LF in a message, or talk before the reply
to EHLO or DATA, ends the session); ``proxies`` (first words of open proxies' clients).

Must not be in here: any text that a stranger can see.

Source: srvrsmtp.c and collect.c of Sendmail 8.17.1 (Debian 12), compared with it running.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from trapline.dialects import _sasl as sasl
from trapline.dialects import _sendmail_address as addresses
from trapline.dialects import _sendmail_parameters as parameters
from trapline.dialects._sendmail_queue import QueueIds, date
from trapline.persona import Identity, Persona
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Answers, Dialogue, Ruling, State

S = State
ORDER: Final[dict[State, dict[str, str]]] = {
    S.CONNECTED: {"RCPT": "RCPT_NEEDS_MAIL", "DATA": "DATA_NEEDS_MAIL"},
    S.GREETED: {"RCPT": "RCPT_NEEDS_MAIL", "DATA": "DATA_NEEDS_MAIL"},
    S.SENDER: {
        "MAIL": "SENDER_GIVEN",
        "DATA": "NEED_RECIPIENT",
        "STARTTLS": "TLS_IN_MAIL",
    },
    S.RECIPIENT: {"MAIL": "SENDER_GIVEN", "STARTTLS": "TLS_IN_MAIL"},
    S.CHUNKS: {},
}
SPACES: Final = " \t\n\v\f\r"
NAME: Final = re.compile(r"[A-Za-z0-9\[\].\-_#:]*[ \t\n\v\f\r]*")
UNIMPLEMENTED: Final = frozenset(("SEND", "SAML", "SOML", "TURN"))
ALWAYS: Final = frozenset(("QUIT", "HELO", "EHLO", "NOOP", "RSET", ""))  # for the rejected
LONGEST_WAIT: Final = 240  # seconds
SHORT: Final = 203  # octets shown of what a peer said
BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
REPLIES: Final = frozenset(
    (
        *("ATTACK", "AUTH_ABORTED", "AUTH_BAD_BASE64", "AUTH_FAILED", "AUTH_IN_MAIL", "BYE"),
        *("AUTH_NO_MECHANISM", "AUTH_OK", "AUTH_REQUIRED", "AUTH_TWICE", "AUTH_UNAVAILABLE"),
        *("AUTH_UNKNOWN", "BAD_BODY", "BAD_CHARACTER", "BAD_HOST", "BAD_INITIAL", "BAD_NAME"),
        *("BAD_NOTIFY", "BAD_RET", "BAD_ROUTE", "BAD_VALUE", "BANNER", "BARE_CR", "BARE_LF"),
        *("BAD_SENDER_CHARACTER", "TOO_BIG"),
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


Handler = Callable[[str, str, Dialogue, Memory], Answer]


class Dialect:
    """Sendmail, as one persona's numbers and texts make it."""

    splits = False

    def __init__(self, persona: Persona, identity: Identity) -> None:
        self.persona, self.identity, self.limits = persona, identity, persona.limits
        self.answers = Answers(persona)
        self.line = 12288  # MAXINPLINE
        self.keep = self.limits["keep"]
        self.strict = bool(persona.traits["strict"])
        self.loose = None if self.strict else True
        self.mechanisms = persona.words("mechanisms")
        self.proxies = frozenset(persona.words("proxies"))
        self.queue_ids = QueueIds(identity)
        self.handlers: dict[str, Handler] = {
            "HELO": self._helo,
            "EHLO": self._helo,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "HELP": self._help,
            "VRFY": self._verify,
            "EXPN": self._verify,
            "ETRN": self._etrn,
            "VERB": lambda *_: self.answers.fixed("VERB_DENIED"),
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
        }

    # -- what the engine asks ----------------------------------------------------------

    def banner(self, talk: Dialogue) -> Answer:
        """Greet with host, version and date."""
        return self._say("BANNER", date=date(talk.now))

    def answer(self, line: bytes, talk: Dialogue) -> Answer:
        """Judge a command."""
        memory = self._memory(talk)
        text = line.partition(b"\0")[0].decode("latin-1")
        text = text.removesuffix("\n").removesuffix("\r")
        stripped = text.lstrip(SPACES)
        word = stripped.split(maxsplit=1)[0] if stripped else ""
        verb = word.upper() if word.isascii() else ""
        first, memory.first = memory.first, False
        if len(line) > self.limits["line"] and verb != "AUTH":
            return self._say("ATTACK", Act.CLOSE, peer=talk.peer)
        if first and verb in self.proxies and len(stripped) > len(word):
            return self._say("PROXY", Act.CLOSE, peer=talk.peer)
        if verb == "QUIT":
            return self._say("BYE", Act.CLOSE)
        handler = self.handlers.get(verb)
        if memory.rejected and handler and verb not in ALWAYS:
            return self._bad("REJECTED", talk)
        if verb in UNIMPLEMENTED:
            return self._say("UNIMPLEMENTED", text=shown(text))
        if handler is None:
            return self._bad("UNKNOWN", talk, text=shown(text))
        argument = stripped[len(word) :].lstrip(SPACES)
        if refusal := ORDER[talk.state].get(verb):
            return self.answers.fixed(refusal)
        return handler(word, argument, talk, memory)

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:  # noqa: ARG002
        """Take a message; a bare CR or LF in it ends the session."""
        memory = self._memory(talk)
        memory.reading = False
        memory.known.clear()
        bare = BARE.search(content.octets) if self.strict else None
        if bare or (self.strict and content.smuggling):
            cr = bare is not None and bare[0] == b"\r"
            reply = self._say("BARE_CR" if cr else "BARE_LF").reply
            return Answer(reply, hang_up=True)
        limit = talk.policy.size or self.limits["size"]
        if limit and content.size > limit:
            return self._say("TOO_BIG", size=limit)
        return self._say("KEPT", id=self.queue_ids.next(talk))

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Never asked: BDAT is an unknown command here."""
        return self.answers.fixed("REJECTED")

    def not_kept(self, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Say that the queue's disk is full."""
        return self.answers.fixed("NOT_KEPT")

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:
        """Say what broke if it was a message; take the rest for a whole line otherwise."""
        if not self._memory(talk).reading:
            return self.answer(rest, talk).reply if rest else b""
        return self._say("LOST_IN_DATA", peer=talk.peer, sender=f"<{talk.sender}>").reply

    def timed_out(self, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Leave without a word."""
        return b""

    def nonce(self, talk: Dialogue) -> bytes:
        """Return the challenge of CRAM-MD5 as Cyrus SASL makes it."""
        return sasl.nonce(talk, self.identity)

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Return the reply that carries a challenge."""
        return self._say("CHALLENGE", text=sasl.encoded(octets)).reply

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:  # noqa: ARG002
        """Decode a response, or answer why the dialogue ends here."""
        text = line.partition(b"\0")[0].removesuffix(b"\n").removesuffix(b"\r")
        if text == b"*":
            return self.answers.fixed("AUTH_ABORTED")
        octets = sasl.decoded(text)
        if octets is None:
            return self._say("AUTH_BAD_BASE64", text=text.decode("latin-1"))
        return octets

    def authenticated(self, mechanism: str, talk: Dialogue, *, accepted: bool) -> Answer:  # noqa: ARG002
        """Answer credentials."""
        return self.answers.fixed("AUTH_OK" if accepted else "AUTH_FAILED")

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Answer a response that is not what the mechanism asks for."""
        return self.answers.fixed("AUTH_FAILED")

    # -- within ------------------------------------------------------------------------

    def _memory(self, talk: Dialogue) -> Memory:
        memory: Memory = talk.scratch.setdefault("sendmail", Memory())
        return memory

    def _say(self, name: str, act: Act = Act.SAY, /, **fields: object) -> Answer:
        """Word a reply; it leaves in seven bits."""
        words = {k: seven(v) if isinstance(v, str) else v for k, v in fields.items()}
        return self.answers.worded(name, {"host": self.identity.host, **words}, act)

    def _bad(self, name: str, talk: Dialogue, **fields: object) -> Answer:
        """Refuse a bad command; there may not be too many of them."""
        talk.errors += 1
        if talk.errors > self.limits["bad"]:
            return self._say("TOO_MANY_BAD", Act.CLOSE)
        return self._say(name, **fields)

    def _slowed(
        self, answer: Answer, kind: str, memory: Memory, *, briefly: bool = False
    ) -> Answer:
        """Add the seconds that a command costs which came too often."""
        count = memory.counts[kind] = memory.counts.get(kind, 0) + 1
        over = count - self.limits[kind]
        if over < 0:
            return answer
        wait = count // self.limits[kind] if briefly else min(LONGEST_WAIT, 2 ** min(over, 8))
        return msgspec.structs.replace(answer, wait=float(max(wait, 1)))

    # -- commands ----------------------------------------------------------------------

    def _helo(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        return self._slowed(self._hello(word, argument, talk, memory), "hello", memory)

    def _hello(self, word: str, name: str, talk: Dialogue, memory: Memory) -> Answer:
        verb = word.upper()
        if not name:
            return self._say("NEED_NAME", verb=word)
        if len(name) > addresses.LONGEST + 1 or not NAME.fullmatch(name):
            return self.answers.fixed("BAD_NAME")
        if talk.pending and self.strict:
            memory.rejected = True
            return self.answers.fixed("PROTOCOL")
        memory.known.clear()
        extensions = (
            "ENHANCEDSTATUSCODES" if memory.rejected else self._extensions(talk, memory)
        )
        greeting = self._say(verb, peer=talk.peer, extensions=extensions)
        return Answer(greeting.reply, Act.GREET, name.rstrip(SPACES), verb)

    def _extensions(self, talk: Dialogue, memory: Memory) -> str:
        tls = talk.policy.offers_tls(talk) and not memory.tls_done
        hidden = ("" if tls else "STARTTLS", "" if talk.policy.offers_auth(talk) else "AUTH")
        lines = [x for x in self.persona.extensions if x.partition(" ")[0] not in hidden]
        size = talk.policy.size or self.limits["size"] or ""
        fields = {"size": size, "mechanisms": " ".join(self.mechanisms)}
        return "\n".join(line.format_map(fields).rstrip() for line in lines)

    def _mail(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        text = _after(argument, "from")
        if text is None:
            return self._say("MAIL_SYNTAX", text=shown(_scanned(argument)))
        if talk.policy.needs_tls(talk):
            return self.answers.fixed("TLS_FIRST")
        try:
            parts = addresses.split(text)
            self._printable(parts.text, "BAD_SENDER_CHARACTER")
            sender = addresses.sender(parts.text)
        except addresses.Trouble as trouble:
            return self._refused(str(trouble), text)
        refusal, size = parameters.of_mail(parts.rest)
        if refusal:
            return self._parameter(refusal)
        if not addresses.qualified(sender):
            return self._refused("NO_DOMAIN", parts.text)
        limit = talk.policy.size or self.limits["size"]
        if limit and size > limit:
            return self._say("SIZE", size=limit)
        reply = self._say("MAIL_OK", address=shown(parts.text)).reply
        return Answer(reply, Act.MAIL, sender, parameters=tuple(parts.rest.split()))

    def _rcpt(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        text = _after(argument, "to")
        if text is None:
            return self._say("MAIL_SYNTAX", text=shown(_scanned(argument)))
        try:
            parts = addresses.split(text)
            self._printable(parts.text, "BAD_CHARACTER")
            goal = addresses.recipient(parts.text, self.identity.host)
        except addresses.Trouble as trouble:
            return self._refused(str(trouble), text)
        if refusal := parameters.of_rcpt(parts.rest):
            return self._parameter(refusal)
        ruling = talk.policy.ruling(goal, talk)
        name = addresses.bare(parts.text)
        if ruling is not Ruling.TAKEN:
            reply = self._say(ruling.name, address=shown(parts.text)).reply
            return Answer(reply, Act.TURN_DOWN, name)
        first = memory.known.setdefault(goal, parts.text)
        reply = self._say("RCPT_OK", address=shown(first)).reply
        return Answer(reply, Act.RCPT, name, parameters=tuple(parts.rest.split()))

    def _printable(self, text: str, name: str) -> None:
        if len(text) > addresses.LONGEST:
            raise addresses.Trouble("TOO_LONG")
        if CONTROL.search(text):
            raise addresses.Trouble(name)

    def _refused(self, name: str, text: str) -> Answer:
        """Word what is wrong with an address."""
        inner = addresses.bare(text)
        clean = CONTROL.sub("?", inner)
        cut = text[: addresses.LONGEST]
        return self._say(name, address=shown(text), bare=clean, cut=cut)

    def _parameter(self, refusal: parameters.Refusal) -> Answer:
        return self._say(refusal.name, word=refusal.word, value=refusal.value)

    def _data(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if talk.pending and self.strict:
            return self.answers.fixed("PROTOCOL", Act.CLOSE)
        memory.reading = True
        return self.answers.fixed("DATA_GO", Act.DATA)

    def _rset(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        memory.known.clear()
        return self.answers.fixed("RSET", Act.RESET)

    def _noop(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        return self._slowed(self.answers.fixed("NOOP"), "noop", memory)

    def _help(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        topic = argument.upper() if argument.isascii() else ""
        name = f"HELP_{topic}" if topic else "HELP"
        if name in self.persona.replies and name != "HELP_UNKNOWN":
            return self.answers.fixed(name)
        return self._say("HELP_UNKNOWN", topic=shown(argument))

    def _verify(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        denied = self.answers.fixed(f"{word.upper()}_DENIED")
        return self._slowed(denied, "verify", memory, briefly=True)

    def _etrn(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if not argument:
            return self.answers.fixed("ETRN_SYNTAX")
        if argument[0] == "#":
            answer = self._say("ETRN_QUEUE", name=argument[1:])
        else:
            answer = self._say("ETRN", name=argument)
        return self._slowed(answer, "etrn", memory)

    def _starttls(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if argument:
            return self.answers.fixed("STARTTLS_SYNTAX")
        if memory.tls_done or talk.tls:
            return self.answers.fixed("TLS_AGAIN")
        if not talk.policy.offers_tls(talk):
            return self.answers.fixed("TLS_UNAVAILABLE")
        memory.tls_done = memory.first = True
        memory.counts.pop("hello", None)
        return self.answers.fixed("STARTTLS_GO", Act.TLS)

    def _auth(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if not talk.policy.offers_auth(talk):
            return self.answers.fixed("AUTH_UNAVAILABLE")
        if talk.user:
            return self.answers.fixed("AUTH_TWICE")
        if talk.state in (S.SENDER, S.RECIPIENT):
            return self.answers.fixed("AUTH_IN_MAIL")
        return self._slowed(self._authenticate(argument), "auth", memory)

    def _authenticate(self, argument: str) -> Answer:
        mechanism, _, rest = argument.partition(" ")
        initial = rest.strip(SPACES)
        if not mechanism:
            return self.answers.fixed("AUTH_NO_MECHANISM")
        if mechanism.upper() not in self.mechanisms:
            return self._say("AUTH_UNKNOWN", name=mechanism[:32])
        if not initial:
            return Answer(b"", Act.AUTH, verb=mechanism.upper())
        octets = b"" if initial == "=" else sasl.decoded(initial.encode("latin-1"))
        if octets is None:
            return self._say("BAD_INITIAL", text=initial)
        return Answer(b"", Act.AUTH, verb=mechanism.upper(), initial=octets)


def shown(text: str) -> str:
    """Return what a peer said, its middle left out where it is long."""
    if len(text) < SHORT:
        return text
    half = (SHORT - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def seven(text: str) -> str:
    """Return text as it leaves through a 7-bit reply."""
    return text if text.isascii() else "".join(chr(ord(c) & 0x7F) for c in text)


def _after(argument: str, word: str) -> str | None:
    """Return what follows ``word:``, or None."""
    found = re.match(r"([^: \t\n\v\f\r]*)[ \t\n\v\f\r]*:[ \t\n\v\f\r]*", argument)
    if found is None or found[1].lower() != word or found.end() == len(argument):
        return None
    return argument[found.end() :]


def _scanned(argument: str) -> str:
    """Return the word that the server stopped at."""
    return re.split(r"[ \t\n\v\f\r:]", argument, maxsplit=1)[0]
