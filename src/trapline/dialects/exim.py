"""Exim: how it reads commands, when it loses patience, how it names messages.

Limits: ``line`` octets of a command, ``size`` of a message and ``headers`` of its header
section; ``errors`` of syntax or protocol, ``unknown`` commands, ``nonmail`` commands,
``messages`` of a session, ``recipients`` of a message.
Traits: ``mechanisms``; ``pipe_connect`` (whoever was offered PIPECONNECT need not wait,
up to his first message).

Must not be in here: any text that a stranger can see.

Source: smtp_in.c and receive.c of Exim 4.96 (Debian 12), compared with it running.
"""

import re
from collections.abc import Callable
from typing import Final

from trapline.dialects import _exim_parameters as parameters
from trapline.dialects._exim_address import Address, Malformed, parse, unquoted, valid_helo
from trapline.dialects._exim_auth import Auth
from trapline.dialects._exim_base import BLANKS, REPLIES
from trapline.dialects._exim_chunks import Chunks
from trapline.dialects._exim_memory import Memory
from trapline.persona import Identity, Persona
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Dialogue, Ruling, State

__all__ = ["ORDER", "REPLIES", "Dialect"]

S = State
_IN_MAIL: Final = {"MAIL": "SENDER_GIVEN", "ETRN": "ETRN_IN_MAIL", "AUTH": "AUTH_IN_MAIL"}
ORDER: Final[dict[State, dict[str, str]]] = {
    S.CONNECTED: {},
    S.GREETED: {},
    S.SENDER: _IN_MAIL,
    S.RECIPIENT: _IN_MAIL,
    S.CHUNKS: _IN_MAIL,
}
WORDS: Final = (
    *("RSET", "HELO", "EHLO", "AUTH", "STARTTLS", "DATA", "BDAT", "QUIT"),
    *("NOOP", "ETRN", "VRFY", "EXPN", "HELP"),
)
VERBS: Final = {"mail from:": "MAIL", "rcpt to:": "RCPT"} | {w.lower(): w for w in WORDS}
VERB: Final = re.compile(r"mail from:|rcpt to:|[a-z]{4,8}(?= |\Z)")
ALONE: Final = frozenset(("RSET", "STARTTLS", "DATA", "QUIT"))  # take no argument
MAIL: Final = frozenset(("MAIL", "RCPT", "DATA", "BDAT", "QUIT"))  # any number is fine
LAST: Final = frozenset(("HELO", "EHLO", "DATA", "VRFY", "EXPN", "NOOP", "ETRN", "STARTTLS"))
ALSO_LAST: Final = frozenset(("MAIL", "RCPT", "RSET"))  # where PIPELINING was not offered

Handler = Callable[[str, Dialogue, Memory], Answer]


class Dialect(Chunks, Auth):
    """Exim, as one persona's numbers and texts make it."""

    def __init__(self, persona: Persona, identity: Identity) -> None:
        super().__init__(persona, identity)
        self.handlers: dict[str, Handler] = {
            "RSET": self._rset,
            "HELO": self._helo,
            "EHLO": self._ehlo,
            "AUTH": self.auth,
            "STARTTLS": self._starttls,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": self.bdat,
            "QUIT": self._quit,
            "NOOP": lambda *_: self.say("NOOP"),
            "ETRN": self._etrn,
            "VRFY": self._vrfy,
            "EXPN": lambda *_: self.say("EXPN_DENIED"),
            "HELP": self._help,
        }

    # -- what the engine asks ----------------------------------------------------------

    def answer(self, line: bytes, talk: Dialogue) -> Answer:  # noqa: PLR0911 - one refusal a line
        """Judge a command, wherever the process stands."""
        memory = self.memory(talk)
        memory.step()
        memory.asked = ()
        if line[-1:] != b"\n":
            return self._unknown(talk, memory)
        text = line.decode("latin-1").rstrip(BLANKS)
        found = VERB.match(text.lower())
        verb = VERBS.get(found[0], "") if found else ""
        argument = text[found.end() :].lstrip(BLANKS) if found else ""
        if memory.failed:
            return self._quit("", talk, memory) if verb == "QUIT" else self.say("TLS_FAILED")
        if talk.state is S.CHUNKS:
            fine = "\0" not in text and not (verb in ALONE and argument)
            fine = fine and not self._too_early(verb, talk, memory)
            fine = fine and not self._too_often(verb, memory)
            return self.between(verb if fine else "", argument, talk, memory)
        if "\0" in text:
            return self.count(self.say("NUL"), talk)
        if self._too_early(verb, talk, memory):
            return self.end("SYNCHRONIZATION", talk)
        if not verb:
            return self._unknown(talk, memory)
        if self._too_often(verb, memory):
            return self.end("TOO_MANY_NONMAIL", talk)
        if verb in ALONE and argument:
            return self.refuse("UNEXPECTED", talk)
        return self.handlers[verb](argument, talk, memory)

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:
        """Take a message, or say what is wrong with it."""
        memory = self.memory(talk)
        if chunked:
            answer = self.chunks_received(content, talk, memory)
        else:
            trouble = self.too_long(content, talk)
            answer = self.say(trouble) if trouble else self.kept(talk, memory)
        memory.start()
        return answer

    # -- within ------------------------------------------------------------------------

    def _too_early(self, verb: str, talk: Dialogue, memory: Memory) -> bool:
        """Tell whether the peer should have waited for our answer before it went on."""
        if not talk.pending or talk.tls or not memory.synchronous:
            return False
        return not verb or verb in LAST or (verb in ALSO_LAST and not memory.pipelined)

    def _too_often(self, verb: str, memory: Memory) -> bool:
        """Count what is not about mail; one of some is free for each message."""
        if not verb or verb in MAIL or verb in memory.free:
            return False
        memory.nonmail += 1
        return memory.nonmail > self.limits["nonmail"]

    def _unknown(self, talk: Dialogue, memory: Memory) -> Answer:
        memory.unknown += 1
        if memory.unknown > self.limits["unknown"]:
            return self.end("TOO_MANY_UNKNOWN", talk)
        return self.refuse("UNKNOWN", talk)

    # -- commands ----------------------------------------------------------------------

    def _helo(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        memory.esmtp = False
        return self._hello("HELO", argument, talk, memory)

    def _ehlo(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        memory.esmtp = True
        return self._hello("EHLO", argument, talk, memory)

    def _hello(self, verb: str, name: str, talk: Dialogue, memory: Memory) -> Answer:
        memory.free -= {"HELO", "EHLO"}
        if not valid_helo(name):
            return self.count(self.say("HELO_SYNTAX", verb=verb), talk)
        esmtp = verb == "EHLO"
        memory.helo, memory.pipelining = True, esmtp
        memory.pipelined |= esmtp
        memory.chunking |= esmtp
        memory.utf8_offered = esmtp
        memory.tls_offered = esmtp and talk.policy.offers_tls(talk)
        memory.auth_offered = esmtp and talk.policy.offers_auth(talk)
        memory.reset()
        fields = {"host": self.identity.host, "name": name, "peer": talk.peer}
        if esmtp:
            fields["extensions"] = self._extensions(talk, memory)
        return Answer(self.persona.reply(verb, fields), Act.GREET, name, verb)

    def _extensions(self, talk: Dialogue, memory: Memory) -> str:
        hidden = {"STARTTLS"} if not memory.tls_offered else set()
        hidden |= {"AUTH"} if not memory.auth_offered else set()
        lines = [x for x in self.persona.extensions if x.partition(" ")[0] not in hidden]
        fields = {"size": self.size(talk), "mechanisms": " ".join(self.mechanisms)}
        return "\n".join(lines).format_map(fields)

    def _mail(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        memory.mails += 1
        memory.refused_mail = True
        if not memory.helo:
            return self.say("NEED_HELO")
        if refusal := ORDER[talk.state].get("MAIL"):
            return self.refuse(refusal, talk)
        if not argument:
            return self.refuse("NO_OPERAND", talk, verb="MAIL")
        if memory.mails > self.limits["messages"]:
            return self.say("TOO_MANY_MESSAGES")
        if talk.policy.needs_tls(talk):
            return self.say("TLS_FIRST")
        memory.reset()
        mail = parameters.Mail(argument)
        if memory.esmtp:
            mail = parameters.of_mail(argument, utf8=memory.utf8_offered)
        memory.utf8 |= mail.utf8
        return self._sender(mail, talk, memory)

    def _sender(self, mail: parameters.Mail, talk: Dialogue, memory: Memory) -> Answer:
        if mail.trouble:
            return self.refuse(mail.trouble, talk)
        try:
            sender = parse(mail.rest, null=True, utf8=memory.utf8)
        except Malformed as why:
            return self.refuse("MALFORMED", talk, text=mail.rest, why=why)
        if mail.size > self.size(talk):
            return self.say("SIZE")
        if sender.text and not sender.domain:
            return self.say("SENDER_UNQUALIFIED", text=mail.rest)
        memory.refused_mail = False
        reply = self.say("MAIL_OK").reply
        return Answer(reply, Act.MAIL, sender.text, parameters=tuple(reversed(mail.taken)))

    def _rcpt(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:
        memory.rcpts += 1
        memory.rcpt = True
        answer, why = self._recipient(argument, talk, memory)
        memory.answered(why or answer.reply)
        return answer

    def _recipient(self, argument: str, talk: Dialogue, memory: Memory) -> tuple[Answer, bytes]:  # noqa: PLR0911 - one refusal a line
        """Answer RCPT; the octets are how Exim remembers it, where that is not the reply."""
        if talk.state not in (S.SENDER, S.RECIPIENT):
            if memory.pipelining and memory.last_refused_mail:
                memory.refused_mail = True
                return self.say("NEED_SENDER"), b""
            memory.rcpt = False
            return self.refuse("NEED_SENDER", talk), b""
        if not argument:
            return self.refuse("NO_OPERAND", talk, verb="RCPT"), b""
        text = parameters.of_rcpt(argument) if memory.esmtp else argument
        try:
            address = parse(text, null=False, utf8=memory.utf8)
        except Malformed as why:
            return self.refuse("MALFORMED", talk, text=text, why=why), b""
        if not address.domain and address.text.lower() != "postmaster":
            return self.say("UNQUALIFIED", text=text), b""
        if memory.rcpts > self.limits["recipients"]:
            return self.say("TOO_MANY_RECIPIENTS"), b""
        return self._ruled(address, talk, memory)

    def _ruled(self, address: Address, talk: Dialogue, memory: Memory) -> tuple[Answer, bytes]:
        """Ask the policy; whoever runs this server has to hear of trouble with it."""
        name = address.text
        ruling = Ruling.TAKEN
        if address.domain:
            ruling = talk.policy.ruling(unquoted(name), talk)
        if ruling is Ruling.TAKEN:
            if talk.pending and not memory.pipelining:
                return self.end("SYNCHRONIZATION", talk), b""
            return Answer(self.say("RCPT_OK").reply, Act.RCPT, name), b""
        reply = self.say(ruling.name).reply
        return Answer(reply, Act.TURN_DOWN, name), reply[4:]

    def _data(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        memory.synchronous = True
        if not talk.recipients:
            return self.no_recipients("DATA", talk, memory)
        memory.reading = True
        return self.say("DATA_GO", Act.DATA)

    def _starttls(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if not memory.tls_offered:
            return self.refuse("STARTTLS_UNADVERTISED", talk)
        memory.free.discard("STARTTLS")
        if talk.tls:
            memory.failed = True
            return self.say("STARTTLS_TWICE", Act.RESET)
        memory.forget()
        return self.say("STARTTLS_GO", Act.TLS)

    def _rset(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        memory.free.discard("RSET")
        memory.reset()
        return self.say("RSET", Act.RESET)

    def _quit(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        return self.say("BYE", Act.CLOSE, host=self.identity.host)

    def _help(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        return self.say("HELP_TLS" if talk.policy.offers_tls(talk) else "HELP")

    def _etrn(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        if refusal := ORDER[talk.state].get("ETRN"):
            return self.refuse(refusal, talk)
        return self.say("ETRN_DENIED")

    def _vrfy(self, argument: str, talk: Dialogue, memory: Memory) -> Answer:  # noqa: ARG002
        try:
            address = parse(argument, null=False, utf8=memory.utf8)
        except Malformed as why:
            return self.say("VRFY_MALFORMED", why=why)
        if not address.domain and address.text.lower() != "postmaster":
            return self.say("UNQUALIFIED", text=argument)
        return self.say("VRFY_DENIED")
