"""Postfix smtpd: how it reads commands, counts errors, refuses and takes.

Limits of a persona: ``line`` octets of a command, ``size`` of a message, ``soft_errors``,
``error_seconds``, ``hard_errors``, ``hops``, ``junk``, ``recipients``, ``overshoot``.
Traits: ``forbidden`` first words, ``forbid_pipelining`` (hang up on those who do not
wait), ``bare_lf`` (LF . LF ends the data), ``shut_long`` (hang up after
a line twice too long), ``utf8_to_nul``, ``mechanisms``, ``long_ids``.

Must not be in here: any text that a stranger can see.

Source: postfix/src/smtpd of 3.7.11 and 3.10.13, compared with both of them running.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from trapline.dialects import _sasl as sasl
from trapline.dialects._hostnames import LABEL
from trapline.dialects._postfix_base import forget
from trapline.dialects._postfix_envelope import Envelope
from trapline.dialects._tokens import Tokens, tokenize
from trapline.persona import Identity, Persona
from trapline.smtpwords import Act, Answer, Dialogue, State

S = State
# By names of their own: looking up a member of an enum takes its time.
CONNECTED, GREETED, SENDER, RECIPIENT = S.CONNECTED, S.GREETED, S.SENDER, S.RECIPIENT
MAIL = Act.MAIL
_IN_MAIL: Final = {
    "ETRN": "ETRN_IN_MAIL",
    "MAIL": "NESTED_MAIL",
    "XCLIENT": "IN_MAIL",
    "XFORWARD": "IN_MAIL",
}
ORDER: Final[dict[State, dict[str, str]]] = {
    S.CONNECTED: {"RCPT": "NEED_MAIL", "DATA": "NEED_RCPT"},
    S.GREETED: {"RCPT": "NEED_MAIL", "DATA": "NEED_RCPT"},
    S.SENDER: {"DATA": "NO_RECIPIENTS"} | _IN_MAIL,
    S.RECIPIENT: _IN_MAIL,
    S.CHUNKS: {"RCPT": "RCPT_AFTER_BDAT", "DATA": "DATA_AFTER_BDAT"} | _IN_MAIL,
    S.ASTRAY: {"RCPT": "NEED_MAIL", "DATA": "DATA_AFTER_BDAT", "MAIL": "MAIL_AFTER_BDAT"},
}
REPLIES: Final = frozenset(
    """
    ATTRIBUTE_SYNTAX AUTH_MALFORMED AUTH_NOBODY AUTH_NOT_ENABLED AUTH_NO_MECHANISM AUTH_OK
    AUTH_REFUSED AUTH_SYNTAX AUTH_TWICE AUTH_TWICE_PARAMETER BAD_BASE64 BAD_ENVID BAD_NOTIFY
    BAD_ORCPT BAD_RECIPIENT BAD_RET BAD_SENDER BAD_SIZE BAD_SYNTAX BAD_UTF8 BANNER
    BASE64_FAILS BDAT_DISCARDED BDAT_NULL BDAT_OK BDAT_SYNTAX BDAT_TOO_BIG BYE CANCELLED
    CHALLENGE CHUNKS_KEPT DATA_GO DATA_SYNTAX EHLO EHLO_SYNTAX ETRN_BAD ETRN_DENIED
    ETRN_SYNTAX FORBIDDEN HELO HELO_SYNTAX KEPT MAIL_OK MAIL_SYNTAX NOOP NOT_AUTHORIZED
    NOT_IMPLEMENTED NOT_KEPT NOT_RECOGNIZED NOT_SYNCHRONIZED RCPT_OK RCPT_SYNTAX
    RELAY_DENIED RESPONSE_TOO_LONG RSET RSET_SYNTAX SHORT_BASE64 SIZE_HUGE SIZE_TOO_BIG
    STARTTLS_ACTIVE STARTTLS_GO STARTTLS_SYNTAX TIMEOUT TLS_FIRST TOO_BIG TOO_MANY_ERRORS
    TOO_MANY_HOPS TOO_MANY_RECIPIENTS UNKNOWN_PARAMETER UNKNOWN_USER VRFY_OK VRFY_SYNTAX
    """.split()  # noqa: SIM905 - ninety lines otherwise
) | {name for row in ORDER.values() for name in row.values()}
ALWAYS_THE_SAME: Final = {
    "NOOP": ("NOOP", Act.SAY),
    "HELP": ("HELP", Act.SAY),
    "QUIT": ("BYE", Act.CLOSE),
}
LIMITED: Final = frozenset(("RSET", "NOOP", "VRFY", "ETRN"))  # junk
LAST: Final = frozenset(("HELO", "EHLO", "DATA", "NOOP", "VRFY"))  # of a pipelined group
BEFORE_TLS: Final = frozenset(("HELO", "EHLO", "STARTTLS", "NOOP", "QUIT", "HELP", "XCLIENT"))
HEADER: Final = re.compile(r"[!-9;-~]+[ \t]*:")

# What nearly all clients send; anything else takes the long way to the same answer.
_HOT: Final = (
    r"<([A-Za-z0-9_+=][A-Za-z0-9_+=-]*(?:\.[A-Za-z0-9_+=-]+)*"
    rf"@(?:{LABEL}\.)*(?=[A-Za-z]){LABEL})>"
)
HOT_HELLO: Final = re.compile(rb"EHLO ([A-Za-z0-9._-]+)\r\n")
HOT_MAIL: Final = re.compile(rf"MAIL FROM:{_HOT}\r\n".encode())
HOT_RCPT: Final = re.compile(rf"RCPT TO:{_HOT}\r\n".encode())
DATA_LINE: Final = b"DATA\r\n"
QUIT_LINE: Final = b"QUIT\r\n"
HOT_LINE: Final = 200  # octets; no host name within can be too long


class Dialect(Envelope):
    """Postfix, as one persona's numbers and texts make it."""

    def __init__(self, persona: Persona, identity: Identity) -> None:
        super().__init__(persona, identity)
        self.handlers: dict[str, Callable[[Tokens, Dialogue], Answer]] = {
            "HELO": self._helo,
            "EHLO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self.mail,
            "RCPT": self.rcpt,
            "DATA": self.data,
            "BDAT": self.bdat,
            "RSET": self._rset,
            "VRFY": self.vrfy,
            "ETRN": self.etrn,
            "XCLIENT": self._not_authorized,
            "XFORWARD": self._not_authorized,
        }
        self.same = {v: x for v, x in ALWAYS_THE_SAME.items() if x[0] in persona.replies}
        self.greeting = self.say("BANNER", host=identity.host)
        self.hellos: dict[tuple[bool, bool, int], bytes] = {}  # replies to EHLO

    def banner(self, talk: Dialogue) -> Answer:
        """Greet with the host's name; newer ones hang up on who speaks first."""
        if talk.pending and self.waits_for_turn:
            return self.answers.fixed("NOT_SYNCHRONIZED", Act.CLOSE)
        return self.greeting

    def answer(self, line: bytes, talk: Dialogue) -> Answer:
        """Judge a command; errors slow the server down and in the end it hangs up."""
        errors = talk.errors
        early = talk.pending and (talk.verb != "EHLO" or line == DATA_LINE)
        plain = not errors and len(line) < HOT_LINE and not (early and self.waits_for_turn)
        if plain and (answer := self._hot(line, talk)):
            return answer
        return self.settle(self._judge(line, talk), errors, talk)

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002 - as asked
        """Say nothing to who is gone."""
        return b""

    def timed_out(self, talk: Dialogue) -> bytes:  # noqa: ARG002 - as asked
        """Say that patience is over."""
        return self.say("TIMEOUT", host=self.identity.host).reply

    def _hot(self, line: bytes, talk: Dialogue) -> Answer | None:
        """Answer what nearly all clients send without taking it to pieces."""
        state = talk.state
        if state is RECIPIENT and line == DATA_LINE:
            return self.answers.fixed("DATA_GO", Act.DATA)
        if state is RECIPIENT or state is SENDER:
            if found := HOT_RCPT.fullmatch(line):
                address = found[1].decode()
                return self.recipient(address, address, (), talk)
        elif line == QUIT_LINE:
            return self.answers.fixed("BYE", Act.CLOSE)
        elif state is GREETED:
            if "size" not in talk.scratch and not talk.policy.needs_tls(talk):
                found = HOT_MAIL.fullmatch(line)
                return Answer(self.mail_ok, MAIL, found[1].decode()) if found else None
        elif state is CONNECTED and (found := HOT_HELLO.fullmatch(line)):
            return self._greeted("EHLO", found[1].decode(), talk)
        return None

    def _text(self, line: bytes) -> str | None:
        """Return a command up to the first NUL (latin-1), or None: it is not UTF-8."""
        text = line.rstrip(b"\n")
        text = text.rstrip(b"\r") if self.loose else text.removesuffix(b"\r")
        if line[-1:] != b"\n":
            text = _printable(text)  # as its warning about the long line leaves it
        upto = text.partition(b"\0")[0]
        if not _is_utf8(upto if self.persona.traits["utf8_to_nul"] else text):
            return None
        return upto.decode("latin-1")

    def _judge(self, line: bytes, talk: Dialogue) -> Answer:
        """Do as smtpd_proto() does with one command."""
        text = self._text(line)
        if text is None:
            return self.refuse("BAD_UTF8", talk)
        tokens = tokenize(text)
        if not tokens:
            return self.refuse("BAD_SYNTAX", talk)
        word = tokens[0].text
        verb = word.upper() if word.isascii() else ""
        if verb not in self.handlers and verb not in self.same:
            return self._unknown(word, talk)
        if verb not in BEFORE_TLS and talk.policy.needs_tls(talk):
            return self.refuse("TLS_FIRST", talk)
        early = talk.pending and (verb in LAST or "esmtp" not in talk.scratch)
        if early and self.waits_for_turn:
            return self.answers.fixed("NOT_SYNCHRONIZED", Act.CLOSE)
        if verb == "MAIL":
            talk.scratch.pop("utf8", None)  # even where it is refused
        if same := self.same.get(verb):
            answer = self.answers.fixed(*same)
        elif refusal := ORDER[talk.state].get(verb):
            answer = self.refuse(refusal, talk)
        else:
            answer = self.handlers[verb](tokens, talk)
        if verb in LIMITED:
            self._count_junk(talk)
        return answer

    def _count_junk(self, talk: Dialogue) -> None:
        """Count a command that brings no mail nearer; too many of them are errors."""
        talk.errors += talk.junk > self.limits["junk"]
        talk.junk += 1

    def _unknown(self, word: str, talk: Dialogue) -> Answer:
        """Refuse a command, or the whole session if this is no SMTP at all."""
        bogus = not (word[0].isascii() and word[0].isalpha())
        if bogus or HEADER.match(word) or word.upper() in self.forbidden:
            return self.answers.fixed("FORBIDDEN", Act.CLOSE)
        return self.refuse("NOT_RECOGNIZED", talk)

    def _helo(self, tokens: Tokens, talk: Dialogue) -> Answer:
        verb = tokens[0].text.upper()
        if len(tokens) < 2:
            self._count_junk(talk)
            return self.refuse(f"{verb}_SYNTAX", talk)
        return self._greeted(verb, " ".join(token.text for token in tokens[1:]), talk)

    def _greeted(self, verb: str, name: str, talk: Dialogue) -> Answer:
        forget(talk)
        self._count_junk(talk)
        if verb == "HELO":
            reply = self.persona.reply("HELO", {"host": self.identity.host})
            return Answer(reply, Act.GREET, name, verb)
        talk.scratch["esmtp"] = True
        policy = talk.policy
        offer = policy.offers_tls(talk), policy.offers_auth(talk), self.limit(talk)
        if (hello := self.hellos.get(offer)) is None:
            hello = self.hellos[offer] = self._extended(*offer)
        return Answer(hello, Act.GREET, name, verb)

    def _extended(self, tls: bool, auth: bool, size: int) -> bytes:  # noqa: FBT001 - the offer
        """Return the reply to EHLO with the extensions on offer."""
        hidden = ("" if tls else "STARTTLS", "" if auth else "AUTH")
        lines = [x for x in self.persona.extensions if x.partition(" ")[0] not in hidden]
        fields = {
            "host": self.identity.host,
            "size": size,
            "mechanisms": " ".join(self.mechanisms),
        }
        return self.persona.reply(
            "EHLO", {"extensions": "\n".join(lines).format_map(fields), **fields}
        )

    def _starttls(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 1:
            return self.refuse("STARTTLS_SYNTAX", talk)
        if talk.tls:
            return self.refuse("STARTTLS_ACTIVE", talk)
        if not talk.policy.offers_tls(talk):
            return self.refuse("NOT_IMPLEMENTED", talk)
        forget(talk)
        return self.answers.fixed("STARTTLS_GO", Act.TLS)

    def _rset(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 1:
            return self.refuse("RSET_SYNTAX", talk)
        forget(talk)
        return self.answers.fixed("RSET", Act.RESET)

    def _not_authorized(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) < 2:
            return self.refuse("ATTRIBUTE_SYNTAX", talk, verb=tokens[0].text.upper())
        return self.refuse("NOT_AUTHORIZED", talk)

    def _auth(self, tokens: Tokens, talk: Dialogue) -> Answer:
        for refused, name in (
            (not talk.policy.offers_auth(talk), "AUTH_NOT_ENABLED"),
            (talk.state not in (S.CONNECTED, S.GREETED, S.ASTRAY), "IN_MAIL"),
            (bool(talk.user), "AUTH_TWICE"),
            (not 2 <= len(tokens) <= 3, "AUTH_SYNTAX"),
        ):
            if refused:
                return self.refuse(name, talk)
        initial = None
        if len(tokens) == 3:
            initial, trouble = sasl.from_base64(tokens[2].text.encode("latin-1"))
            if trouble:
                refusal = self.refuse(trouble, talk)
                return msgspec.structs.replace(refusal, odd="bad-auth")
        mechanism = tokens[1].text.upper()
        if mechanism not in self.mechanisms:
            return self.refuse("AUTH_NO_MECHANISM", talk)
        if initial is not None and mechanism == "CRAM-MD5":
            return self.refuse("AUTH_MALFORMED", talk)  # the server speaks first
        return Answer(b"", Act.AUTH, verb=mechanism, initial=initial)

    def nonce(self, talk: Dialogue) -> bytes:
        """Return the challenge of CRAM-MD5 as Cyrus SASL makes it."""
        return sasl.nonce(talk, self.identity)

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002 - as asked
        """Return the reply that carries a challenge."""
        return self.say("CHALLENGE", text=sasl.encoded(octets)).reply

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:
        """Decode a response, or answer why the dialogue ends here."""
        errors = talk.errors
        if line[-1:] != b"\n":
            return self.settle(self.refuse("RESPONSE_TOO_LONG", talk), errors, talk)
        text = line.rstrip(b"\r\n").partition(b"\0")[0]
        if text == b"*":
            return self.settle(self.refuse("CANCELLED", talk), errors, talk)
        octets, trouble = sasl.from_base64(text)
        return self.settle(self.refuse(trouble, talk), errors, talk) if trouble else octets

    def authenticated(
        self,
        mechanism: str,  # noqa: ARG002 - as asked
        talk: Dialogue,
        *,
        accepted: bool,
    ) -> Answer:
        """Answer credentials."""
        errors = talk.errors
        if accepted:
            return self.settle(self.answers.fixed("AUTH_OK"), errors, talk)
        nobody = not talk.claimed.partition("\0")[0]
        refusal = self.refuse("AUTH_NOBODY" if nobody else "AUTH_REFUSED", talk)
        return self.settle(refusal, errors, talk)

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:  # noqa: ARG002 - as asked
        """Answer a response that is not what the mechanism asks for."""
        return self.settle(self.refuse("AUTH_MALFORMED", talk), talk.errors, talk)


def _printable(text: bytes) -> bytes:
    """Put question marks for octets that cannot be printed, up to the first NUL."""
    upto, nul, rest = text.partition(b"\0")
    marked = re.sub(
        "[\x01-\x1f\x7f\udc80-\udcff]", "?", upto.decode("utf-8", "surrogateescape")
    )
    return marked.encode() + nul + rest


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
