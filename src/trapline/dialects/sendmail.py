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

from trapline.dialects import _sendmail_address as addresses
from trapline.dialects import _sendmail_parameters as parameters
from trapline.dialects._sendmail_auth import Auth
from trapline.dialects._sendmail_base import REPLIES, SPACES, Memory, shown
from trapline.dialects._sendmail_queue import date
from trapline.persona import Identity, Persona
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Dialogue, Ruling, State

__all__ = ["ORDER", "REPLIES", "Dialect"]

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
NAME: Final = re.compile(r"[A-Za-z0-9\[\].\-_#:]*[ \t\n\v\f\r]*")
UNIMPLEMENTED: Final = frozenset(("SEND", "SAML", "SOML", "TURN"))
ALWAYS: Final = frozenset(("QUIT", "HELO", "EHLO", "NOOP", "RSET", ""))  # for the rejected
WORD: Final = re.compile(f"[{SPACES}]")
BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\xff]")
Handler = Callable[[str, str, Dialogue, Memory], Answer]


class Dialect(Auth):
    """Sendmail, as one persona's numbers and texts make it."""

    def __init__(self, persona: Persona, identity: Identity) -> None:
        super().__init__(persona, identity)
        self.proxies = frozenset(persona.words("proxies"))
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
            "AUTH": self.auth,
        }
        offered = {extension.partition(" ")[0] for extension in persona.extensions}
        for verb in {"STARTTLS", "AUTH"} - offered:
            del self.handlers[verb]  # the server was built without

    # -- what the engine asks ----------------------------------------------------------

    def banner(self, talk: Dialogue) -> Answer:
        """Greet with host, version and date."""
        return self.say("BANNER", date=date(talk.now))

    def answer(self, line: bytes, talk: Dialogue) -> Answer:  # noqa: PLR0911 - one refusal a line
        """Judge a command."""
        memory = self.memory(talk)
        text = line.partition(b"\0")[0].decode("latin-1")
        text = text.removesuffix("\n").removesuffix("\r")
        stripped = text.lstrip(SPACES)
        word = WORD.split(stripped, 1)[0]  # str.split knows blanks that C does not
        verb = word.upper() if word.isascii() else ""
        first, memory.first = memory.first, False
        if len(line) > self.limits["line"] and verb != "AUTH":
            return self.say("ATTACK", Act.CLOSE, peer=talk.peer)
        if first and verb in self.proxies and len(stripped) > len(word):
            return self.say("PROXY", Act.CLOSE, peer=talk.peer)
        if verb == "QUIT":
            return self.say("BYE", Act.CLOSE)
        handler = self.handlers.get(verb)
        if memory.rejected and handler and verb not in ALWAYS:
            return self.bad("REJECTED", talk)
        if verb in UNIMPLEMENTED:
            return self.say("UNIMPLEMENTED", text=shown(text))
        if handler is None:
            return self.bad("UNKNOWN", talk, text=shown(text))
        argument = stripped[len(word) :].lstrip(SPACES)
        if refusal := ORDER[talk.state].get(verb):
            return self.answers.fixed(refusal)
        return handler(word, argument, talk, memory)

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:  # noqa: ARG002
        """Take a message; a bare CR or LF in it ends the session."""
        memory = self.memory(talk)
        memory.reading = False
        memory.known.clear()
        bare = BARE.search(content.octets) if self.strict else None
        if bare or (self.strict and content.smuggling):
            cr = bare is not None and bare[0] == b"\r"
            reply = self.say("BARE_CR" if cr else "BARE_LF").reply
            return Answer(reply, hang_up=True)
        limit = talk.policy.size or self.limits["size"]
        if limit and content.size > limit:
            return self.say("TOO_BIG", size=limit)
        return self.say("KEPT", id=self.queue_ids.next(talk))

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Never asked: BDAT is an unknown command here."""
        return self.answers.fixed("REJECTED")

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:
        """Say what broke if it was a message; take the rest for a whole line otherwise."""
        if not self.memory(talk).reading:
            return self.answer(rest, talk).reply if rest else b""
        return self.say("LOST_IN_DATA", peer=talk.peer, sender=f"<{talk.sender}>").reply

    def timed_out(self, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Leave without a word."""
        return b""

    # -- within ------------------------------------------------------------------------

    # -- commands ----------------------------------------------------------------------

    def _helo(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        return self.slowed(self._hello(word, argument, talk, memory), "hello", memory)

    def _hello(self, word: str, name: str, talk: Dialogue, memory: Memory) -> Answer:
        verb = word.upper()
        if talk.pending and self.strict:
            memory.rejected = True
            return self.answers.fixed("PROTOCOL")
        if not name:
            return self.say("NEED_NAME", verb=word)
        if len(name) > addresses.LONGEST + 1 or not NAME.fullmatch(name):
            return self.answers.fixed("BAD_NAME")
        memory.known.clear()
        extensions = (
            "ENHANCEDSTATUSCODES" if memory.rejected else self._extensions(talk, memory)
        )
        greeting = self.say(verb, peer=talk.peer, extensions=extensions)
        return Answer(greeting.reply, Act.GREET, name.rstrip(SPACES), verb)

    def _extensions(self, talk: Dialogue, memory: Memory) -> str:
        tls = talk.policy.offers_tls(talk) and not memory.tls_done
        hidden = ("" if tls else "STARTTLS", "" if talk.policy.offers_auth(talk) else "AUTH")
        lines = [x for x in self.persona.extensions if x.partition(" ")[0] not in hidden]
        size = talk.policy.size or self.limits["size"] or ""
        fields = {"size": size, "mechanisms": " ".join(self.mechanisms)}
        return "\n".join(line.format_map(fields).rstrip() for line in lines)

    def _mail(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002, PLR0911
        text = _after(argument, "from")
        if text is None:
            return self.say("MAIL_SYNTAX", text=shown(_scanned(argument)))
        if talk.policy.needs_tls(talk):
            return self.answers.fixed("TLS_FIRST")
        parts = addresses.Parts(text, "")
        try:
            parts = addresses.split(text)
            self._printable(parts.text, "BAD_SENDER_CHARACTER")
            sender = addresses.sender(parts.text)
        except addresses.Trouble as trouble:
            return self._refused(str(trouble), parts.text)
        refusal, size = parameters.of_mail(parts.rest)
        if refusal:
            return self._parameter(refusal)
        if not addresses.qualified(sender):
            return self._refused("NO_DOMAIN", parts.text)
        limit = talk.policy.size or self.limits["size"]
        if limit and size > limit:
            return self.say("SIZE", size=limit)
        reply = self.say("MAIL_OK", address=shown(parts.text)).reply
        return Answer(reply, Act.MAIL, sender, parameters=tuple(parts.rest.split()))

    def _rcpt(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        text = _after(argument, "to")
        if text is None:
            return self.say("MAIL_SYNTAX", text=shown(_scanned(argument)))
        parts = addresses.Parts(text, "")
        try:
            parts = addresses.split(text)
            self._printable(parts.text, "BAD_CHARACTER")
            goal = addresses.recipient(parts.text, self.identity.host)
        except addresses.Trouble as trouble:
            return self._refused(str(trouble), parts.text)
        if refusal := parameters.of_rcpt(parts.rest):
            return self._parameter(refusal)
        ruling = talk.policy.ruling(goal, talk)
        name = addresses.bare(parts.text)
        if ruling is not Ruling.TAKEN:
            reply = self.say(ruling.name, address=shown(parts.text)).reply
            return Answer(reply, Act.TURN_DOWN, name)
        first = memory.known.setdefault(goal, parts.text)
        reply = self.say("RCPT_OK", address=shown(first)).reply
        return Answer(reply, Act.RCPT, name, parameters=tuple(parts.rest.split()))

    def _printable(self, text: str, name: str) -> None:
        if len(text) > addresses.LONGEST:
            raise addresses.Trouble("TOO_LONG")
        if CONTROL.search(text):
            raise addresses.Trouble(name)

    def _refused(self, name: str, text: str) -> Answer:
        """Word what is wrong with an address."""
        inner = addresses.bare(text)
        clean = CONTROL.sub("?", addresses.unescaped(inner) if name == "NO_DOMAIN" else inner)
        cut = text[: addresses.LONGEST]
        return self.say(name, address=shown(text), bare=clean, cut=cut)

    def _parameter(self, refusal: parameters.Refusal) -> Answer:
        return self.say(refusal.name, word=refusal.word, value=refusal.value)

    def _data(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if talk.pending and self.strict:
            return self.answers.fixed("PROTOCOL", Act.CLOSE)
        memory.reading = True
        return self.answers.fixed("DATA_GO", Act.DATA)

    def _rset(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        memory.known.clear()
        return self.answers.fixed("RSET", Act.RESET)

    def _noop(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        return self.slowed(self.answers.fixed("NOOP"), "noop", memory)

    def _help(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        topic = argument.upper() if argument.isascii() else ""
        name = f"HELP_{topic}" if topic else "HELP"
        if name in self.persona.replies and name != "HELP_UNKNOWN":
            return self.answers.fixed(name)
        return self.say("HELP_UNKNOWN", topic=shown(argument.lower()))

    def _verify(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        denied = self.answers.fixed(f"{word.upper()}_DENIED")
        return self.slowed(denied, "verify", memory, briefly=True)

    def _etrn(self, word: str, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if not argument:
            return self.answers.fixed("ETRN_SYNTAX")
        if argument[0] == "#":
            answer = self.say("ETRN_QUEUE", name=argument[1:])
        else:
            answer = self.say("ETRN", name=argument)
        return self.slowed(answer, "etrn", memory)

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


def _after(argument: str, word: str) -> str | None:
    """Return what follows ``word:``, or None."""
    found = re.match(r"([^: \t\n\v\f\r]*)[ \t\n\v\f\r]*:[ \t\n\v\f\r]*", argument)
    if found is None or found[1].lower() != word or found.end() == len(argument):
        return None
    return argument[found.end() :]


def _scanned(argument: str) -> str:
    """Return the word that the server stopped at."""
    return re.split(r"[ \t\n\v\f\r:]", argument, maxsplit=1)[0]
