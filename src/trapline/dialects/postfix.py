"""Postfix smtpd: how it reads commands, counts errors, refuses and takes.

Limits of a persona: ``line`` octets of a command, ``size`` of a message, ``soft_errors``,
``error_seconds``, ``hard_errors``, ``hops``, ``junk``, ``recipients``, ``overshoot``.
Traits: ``forbidden`` first words, ``forbid_pipelining`` (hang up on those who do not
wait), ``bare_lf`` (LF . LF ends the data), ``shut_long``, ``utf8_to_nul``, ``mechanisms``, ``long_ids``.

Must not be in here: any text that a stranger can see.

Source: postfix/src/smtpd of 3.7.11 and 3.10.13, compared with both of them running.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from trapline.dialects import _parameters as parameters
from trapline.dialects import _sasl as sasl
from trapline.dialects._hostnames import valid_hostname, valid_literal
from trapline.dialects._queue_ids import QueueIds
from trapline.dialects._tok822 import extract, resolve
from trapline.dialects._tokens import Tokens, tokenize
from trapline.persona import Identity, Persona
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Answers, Dialogue, Ruling, State

S = State
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
    ATTRIBUTE_SYNTAX AUTH_NOBODY NOT_AUTHORIZED TOO_MANY_HOPS AUTH_MALFORMED AUTH_NOT_ENABLED
    AUTH_NO_MECHANISM AUTH_OK AUTH_REFUSED AUTH_SYNTAX AUTH_TWICE AUTH_TWICE_PARAMETER
    BAD_BASE64 SHORT_BASE64 BAD_ENVID BAD_NOTIFY BAD_ORCPT BAD_RECIPIENT BAD_RET BAD_SENDER BAD_SIZE
    BAD_SYNTAX BAD_UTF8 BANNER BDAT_DISCARDED BDAT_NULL BDAT_OK BDAT_SYNTAX BDAT_TOO_BIG
    BYE CANCELLED CHALLENGE CHUNKS_KEPT DATA_GO DATA_SYNTAX EHLO EHLO_SYNTAX ETRN_BAD
    ETRN_DENIED ETRN_SYNTAX FORBIDDEN HELO HELO_SYNTAX KEPT MAIL_OK MAIL_SYNTAX NOOP
    NOT_IMPLEMENTED NOT_KEPT NOT_RECOGNIZED NOT_SYNCHRONIZED RCPT_OK RCPT_SYNTAX
    RELAY_DENIED RESPONSE_TOO_LONG RSET RSET_SYNTAX SIZE_HUGE SIZE_TOO_BIG
    STARTTLS_ACTIVE STARTTLS_GO STARTTLS_SYNTAX TIMEOUT TLS_FIRST TOO_BIG
    TOO_MANY_ERRORS TOO_MANY_RECIPIENTS UNKNOWN_PARAMETER UNKNOWN_USER VRFY_OK
    VRFY_SYNTAX
    """.split()
) | {name for row in ORDER.values() for name in row.values()}
LIMITED: Final = frozenset(("HELO", "EHLO", "RSET", "NOOP", "VRFY", "ETRN"))  # junk
LAST: Final = frozenset(("HELO", "EHLO", "DATA", "NOOP", "VRFY"))  # of a pipelined group
BEFORE_TLS: Final = frozenset(("HELO", "EHLO", "STARTTLS", "NOOP", "QUIT", "HELP", "XCLIENT"))
HEADER: Final = re.compile(r"[!-9;-~]+[ \t]*:")
HUGE: Final = 2**63 - 1  # what fits into an off_t
HEADER_OCTETS: Final = 2**16  # of a message that are searched for Received lines
RECEIVED: Final = re.compile(rb"^Received[ \t]*:", re.IGNORECASE | re.MULTILINE)
OVERHEAD: Final = 400  # octets that the queue file adds to a message: its own Received line
RECORD: Final = 2048  # octets of a line in a queue file; longer ones are split

# What nearly all clients send; anything else takes the long way to the same answer.
_HOT: Final = (
    r"<([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?:[A-Za-z][A-Za-z0-9]{0,62}\.)+[A-Za-z]{1,63})>"
)
HOT_MAIL: Final = re.compile(rf"MAIL FROM:{_HOT}\r\n".encode())
HOT_RCPT: Final = re.compile(rf"RCPT TO:{_HOT}\r\n".encode())
HOT_LINE: Final = 200  # octets; no host name within can be too long


class Dialect:
    """Postfix, as one persona's numbers and texts make it."""

    def __init__(self, persona: Persona, identity: Identity) -> None:
        self.persona, self.identity, self.limits = persona, identity, persona.limits
        self.answers = Answers(persona)
        self.line = self.limits["line"]
        self.keep = self.limits["size"]
        self.loose, self.splits = bool(persona.traits["bare_lf"]), False
        self.shuts = bool(persona.traits["shut_long"])
        self.waits_for_turn = bool(persona.traits["forbid_pipelining"])
        self.forbidden = frozenset(persona.words("forbidden"))
        self.mechanisms = persona.words("mechanisms")
        self.queue_ids = QueueIds(identity, long_form=bool(persona.traits["long_ids"]))
        self.local = frozenset((identity.host.lower(), "localhost"))
        self.handlers: dict[str, Callable[[Tokens, Dialogue], Answer]] = {
            "HELO": self._helo,
            "EHLO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": self._bdat,
            "RSET": self._rset,
            "NOOP": self._noop,
            "VRFY": self._vrfy,
            "ETRN": self._etrn,
            "XCLIENT": self._not_authorized,
            "XFORWARD": self._not_authorized,
            "QUIT": self._quit,
        }
        if "HELP" in persona.replies:
            self.handlers["HELP"] = self._help

    # -- what the engine asks ----------------------------------------------------------

    def banner(self, talk: Dialogue) -> Answer:
        """Greet with the host's name; newer ones hang up on who speaks first."""
        if talk.pending and self.waits_for_turn:
            return self.answers.fixed("NOT_SYNCHRONIZED", Act.CLOSE)
        return self._say("BANNER", host=self.identity.host)

    def answer(self, line: bytes, talk: Dialogue) -> Answer:
        """Judge a command; errors slow the server down and in the end it hangs up."""
        errors = talk.errors
        if not errors and len(line) < HOT_LINE and (answer := self._hot(line, talk)):
            return answer
        return self._settle(self._judge(line, talk), errors, talk)

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:
        """Take a message or say that it is too big; success forgives all errors."""
        errors = talk.errors
        _forget(talk)
        limit = self._limit(talk)
        size = content.size
        if chunked or size > limit - RECORD:
            size = _stored(content, loose=self.loose)
        if size > limit - OVERHEAD:
            return self._settle(self._refuse("TOO_BIG", talk), errors, talk)
        if _hops(content) >= self.limits["hops"]:
            return self._settle(self._refuse("TOO_MANY_HOPS", talk), errors, talk)
        talk.errors = talk.junk = 0
        name = self.queue_ids.next(talk)
        if chunked:
            answer = self._say("CHUNKS_KEPT", size=size, id=name)
        else:
            answer = self._say("KEPT", id=name)
        return self._settle(answer, errors, talk)

    def _limit(self, talk: Dialogue) -> int:
        """Return the octets of the biggest message."""
        return talk.policy.size or self.limits["size"]

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:
        """Take a chunk that is not the last one."""
        return self._settle(self._say("BDAT_OK", size=size), talk.errors, talk)

    def not_kept(self, talk: Dialogue) -> Answer:
        """Say that the queue's disk is full."""
        return self._settle(self._refuse("NOT_KEPT", talk), talk.errors, talk)

    def lost(self, talk: Dialogue) -> bytes:
        """Say nothing to who is gone."""
        return b""

    def timed_out(self, talk: Dialogue) -> bytes:
        """Say that patience is over."""
        return self._say("TIMEOUT", host=self.identity.host).reply

    def nonce(self, talk: Dialogue) -> bytes:
        """Return the challenge of CRAM-MD5 as Cyrus SASL makes it."""
        return sasl.nonce(talk, self.identity)

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:
        """Return the reply that carries a challenge."""
        return self._say("CHALLENGE", text=sasl.encoded(octets)).reply

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:
        """Decode a response, or answer why the dialogue ends here."""
        errors = talk.errors
        if line[-1:] != b"\n":
            return self._settle(self._refuse("RESPONSE_TOO_LONG", talk), errors, talk)
        text = line.rstrip(b"\r\n").partition(b"\0")[0]
        if text == b"*":
            return self._settle(self._refuse("CANCELLED", talk), errors, talk)
        octets, trouble = sasl.decoded(text)
        return self._settle(self._refuse(trouble, talk), errors, talk) if trouble else octets

    def authenticated(self, mechanism: str, talk: Dialogue, *, accepted: bool) -> Answer:
        """Answer credentials."""
        errors = talk.errors
        if accepted:
            return self._settle(self.answers.fixed("AUTH_OK"), errors, talk)
        nobody = not talk.claimed.partition("\0")[0]
        refusal = self._refuse("AUTH_NOBODY" if nobody else "AUTH_REFUSED", talk)
        return self._settle(refusal, errors, talk)

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:
        """Answer a response that is not what the mechanism asks for."""
        return self._settle(self._refuse("AUTH_MALFORMED", talk), talk.errors, talk)

    # -- the loop of smtpd_proto() -----------------------------------------------------

    def _hot(self, line: bytes, talk: Dialogue) -> Answer | None:
        """Answer what nearly all clients send without taking it to pieces."""
        state = talk.state
        if state is S.SENDER or state is S.RECIPIENT:
            found = HOT_RCPT.fullmatch(line)
            if found and (not self.waits_for_turn or talk.verb == "EHLO"):
                return self._recipient(found[1].decode(), (), talk)
        elif state is S.GREETED and not talk.policy.needs_tls(talk):
            found = HOT_MAIL.fullmatch(line)
            late = not self.waits_for_turn or talk.verb == "EHLO"
            if found and late and "size" not in talk.scratch:
                return self.mail_ok(found[1].decode())
        return None

    def _judge(self, line: bytes, talk: Dialogue) -> Answer:
        text = line.rstrip(b"\n")
        text = text.rstrip(b"\r") if self.loose else text.removesuffix(b"\r")
        upto, nul, _ = text.partition(b"\0")
        if not _is_utf8(upto if self.persona.traits["utf8_to_nul"] else text):
            return self._refuse("BAD_UTF8", talk)
        tokens = tokenize(upto.decode("latin-1"))
        if not tokens:
            return self._refuse("BAD_SYNTAX", talk)
        word = tokens[0].text
        verb = word.upper() if word.isascii() else ""
        handler = self.handlers.get(verb)
        if handler is None:
            return self._unknown(word, talk)
        if verb not in BEFORE_TLS and talk.policy.needs_tls(talk):
            return self._refuse("TLS_FIRST", talk)
        early = talk.pending and (verb in LAST or "esmtp" not in talk.scratch)
        if early and self.waits_for_turn:
            return self.answers.fixed("NOT_SYNCHRONIZED", Act.CLOSE)
        refusal = ORDER[talk.state].get(verb)
        answer = self._refuse(refusal, talk) if refusal else handler(tokens, talk)
        if verb in LIMITED:
            talk.errors += talk.junk > self.limits["junk"]
            talk.junk += 1
        return answer

    def _unknown(self, word: str, talk: Dialogue) -> Answer:
        """Refuse a command, or the whole session if this is no SMTP at all."""
        bogus = not (word[0].isascii() and word[0].isalpha())
        if bogus or HEADER.match(word) or word.upper() in self.forbidden:
            return self.answers.fixed("FORBIDDEN", Act.CLOSE)
        return self._refuse("NOT_RECOGNIZED", talk)

    def _settle(self, answer: Answer, errors: int, talk: Dialogue) -> Answer:
        """Add the delay that ``errors`` so far cost, and the end that they lead to."""
        if not errors and not talk.errors:
            return answer
        wait = 0.0
        if errors >= self.limits["soft_errors"]:
            wait = float(self.limits["error_seconds"] * max(1, answer.reply.count(b"\n")))
        if talk.errors < self.limits["hard_errors"] or answer.act is Act.CLOSE:
            return msgspec.structs.replace(answer, wait=wait) if wait else answer
        end = self._say("TOO_MANY_ERRORS", host=self.identity.host).reply
        wait += self.limits["error_seconds"]
        return msgspec.structs.replace(
            answer, reply=answer.reply + end, wait=wait, hang_up=True
        )

    def _refuse(
        self, name: str, talk: Dialogue, act: Act = Act.SAY, /, **fields: object
    ) -> Answer:
        """Refuse; that counts as an error."""
        talk.errors += 1
        return (
            self.answers.worded(name, fields, act) if fields else self.answers.fixed(name, act)
        )

    def _say(self, name: str, act: Act = Act.SAY, /, **fields: object) -> Answer:
        return self.answers.worded(name, fields, act)

    # -- commands ----------------------------------------------------------------------

    def _helo(self, tokens: Tokens, talk: Dialogue) -> Answer:
        verb = tokens[0].text.upper()
        if len(tokens) < 2:
            return self._refuse(f"{verb}_SYNTAX", talk)
        _forget(talk)
        if verb == "EHLO":
            talk.scratch["esmtp"] = True
        name = " ".join(token.text for token in tokens[1:])
        return Answer(self._hello(verb, talk), Act.GREET, name, verb)

    def _hello(self, verb: str, talk: Dialogue) -> bytes:
        """Return the reply to HELO, or to EHLO with the extensions on offer."""
        if verb == "HELO":
            return self.persona.reply("HELO", {"host": self.identity.host})
        tls, auth = talk.policy.offers_tls(talk), talk.policy.offers_auth(talk)
        hidden = ("" if tls else "STARTTLS", "" if auth else "AUTH")
        lines = [x for x in self.persona.extensions if x.partition(" ")[0] not in hidden]
        fields = {
            "host": self.identity.host,
            "size": self._limit(talk),
            "mechanisms": " ".join(self.mechanisms),
        }
        return self.persona.reply(
            "EHLO", {"extensions": "\n".join(lines).format_map(fields), **fields}
        )

    def _starttls(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 1:
            return self._refuse("STARTTLS_SYNTAX", talk)
        if talk.tls:
            return self._refuse("STARTTLS_ACTIVE", talk)
        if not talk.policy.offers_tls(talk):
            return self._refuse("NOT_IMPLEMENTED", talk)
        _forget(talk)
        return self.answers.fixed("STARTTLS_GO", Act.TLS)

    def _auth(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if not talk.policy.offers_auth(talk):
            return self._refuse("AUTH_NOT_ENABLED", talk)
        if talk.state not in (S.CONNECTED, S.GREETED, S.ASTRAY):
            return self._refuse("IN_MAIL", talk)
        if talk.user:
            return self._refuse("AUTH_TWICE", talk)
        if not 2 <= len(tokens) <= 3:
            return self._refuse("AUTH_SYNTAX", talk)
        initial = None
        if len(tokens) == 3:
            initial, trouble = sasl.decoded(tokens[2].text.encode("latin-1"))
            if trouble:
                return self._refuse(trouble, talk)
        mechanism = tokens[1].text.upper()
        if mechanism not in self.mechanisms:
            return self._refuse("AUTH_NO_MECHANISM", talk)
        if initial is not None and mechanism == "CRAM-MD5":
            return self._refuse("AUTH_MALFORMED", talk)  # the server speaks first
        return Answer(b"", Act.AUTH, verb=mechanism, initial=initial)

    def _mail(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) < 3 or tokens[1].text.upper() != "FROM:":
            return self._refuse("MAIL_SYNTAX", talk)
        options = [token.text for token in tokens[3:]]
        utf8 = any(option.upper() == "SMTPUTF8" for option in options)
        sender = None if tokens[2].broken else self._address(tokens[2].text, utf8=utf8)
        if sender is None:
            return self._refuse("BAD_SENDER", talk)
        if trouble := parameters.of_mail(options, talk):
            return self._refuse(trouble[0], talk, option=trouble[1])
        if talk.scratch.get("size", 0) > self._limit(talk):
            return self._refuse("SIZE_TOO_BIG", talk)
        talk.scratch["utf8"] = utf8
        return self.mail_ok(sender, tuple(options))

    def mail_ok(self, sender: str, options: tuple[str, ...] = ()) -> Answer:
        """Take a sender."""
        return Answer(self.answers.fixed("MAIL_OK").reply, Act.MAIL, sender, parameters=options)

    def _rcpt(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) < 3 or tokens[1].text.upper() != "TO:":
            return self._refuse("RCPT_SYNTAX", talk)
        utf8 = talk.scratch.get("utf8", False)
        recipient = None if tokens[2].broken else self._address(tokens[2].text, utf8=utf8)
        if not recipient:
            return self._refuse("BAD_RECIPIENT", talk)
        options = tuple(token.text for token in tokens[3:])
        if trouble := parameters.of_rcpt(options):
            return self._refuse(trouble[0], talk, option=trouble[1])
        return self._recipient(recipient, options, talk)

    def _recipient(self, recipient: str, options: tuple[str, ...], talk: Dialogue) -> Answer:
        """Take a recipient or turn it down, as the policy says."""
        if len(talk.recipients) >= self.limits["recipients"]:
            over = talk.scratch["over"] = talk.scratch.get("over", 0) + 1
            talk.errors += over > self.limits["overshoot"]
            return self.answers.fixed("TOO_MANY_RECIPIENTS")
        refusal = self._ruled(recipient, talk)
        if refusal is not None:
            return msgspec.structs.replace(refusal, act=Act.TURN_DOWN, name=recipient)
        return Answer(
            self.answers.fixed("RCPT_OK").reply, Act.RCPT, recipient, parameters=options
        )

    def _ruled(self, recipient: str, talk: Dialogue) -> Answer | None:
        """Word the policy's refusal of a recipient; None: it is taken."""
        if recipient.lower() == "postmaster":
            return None
        goal = resolve(recipient, self.identity.host, self._is_local) or recipient
        ruling = talk.policy.ruling(goal, talk)
        if ruling is Ruling.TAKEN:
            return None
        return self._refuse(ruling.name, talk, recipient=recipient)

    def _address(self, argument: str, *, utf8: bool) -> str | None:
        """Return the address an argument means, or None: it means none."""
        address = extract(argument)
        if not address:
            return address
        goal = resolve(address, self.identity.host, self._is_local)
        if goal is None or not (utf8 or goal.rpartition("@")[2].isascii()):
            return None
        return address

    def _is_local(self, domain: str) -> bool:
        return domain.lower() in self.local

    def _data(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 1:
            return self._refuse("DATA_SYNTAX", talk)
        return self.answers.fixed("DATA_GO", Act.DATA)

    def _bdat(self, tokens: Tokens, talk: Dialogue) -> Answer:
        words = [token.text for token in tokens]
        if not 2 <= len(words) <= 3 or not _digits(words[1]) or int(words[1]) > HUGE:
            return self._refuse("BDAT_SYNTAX", talk, Act.CLOSE)
        size, last = int(words[1]), len(words) == 3
        if last and words[2].upper() != "LAST":
            return self._refuse("BDAT_SYNTAX", talk, Act.CLOSE)
        refusal = self._chunk_refusal(size, talk, last=last)
        if not refusal:
            return Answer(b"", Act.CHUNK, size=size, last=last)
        if talk.state is not S.CHUNKS:
            talk.state = S.CHUNKS if talk.state in (S.SENDER, S.RECIPIENT) else S.ASTRAY
        talk.scratch["skip"] = True
        if last:
            _forget(talk)
        answer = self._refuse(refusal, talk, size=size)
        return msgspec.structs.replace(answer, act=Act.CHUNK, size=size, last=last)

    def _chunk_refusal(self, size: int, talk: Dialogue, *, last: bool) -> str:
        """Name the reason why a chunk is read and dropped."""
        if not size and not last:
            return "BDAT_NULL"
        if talk.state is S.ASTRAY or "skip" in talk.scratch:
            return "BDAT_DISCARDED"
        if not talk.recipients:
            return "NO_RECIPIENTS" if talk.state is S.SENDER else "NEED_RCPT"
        if talk.taken + size > self._limit(talk):
            return "BDAT_TOO_BIG"
        return ""

    def _rset(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 1:
            return self._refuse("RSET_SYNTAX", talk)
        _forget(talk)
        return self.answers.fixed("RSET", Act.RESET)

    def _noop(self, tokens: Tokens, talk: Dialogue) -> Answer:
        return self.answers.fixed("NOOP")

    def _help(self, tokens: Tokens, talk: Dialogue) -> Answer:
        return self.answers.fixed("HELP")

    def _vrfy(self, tokens: Tokens, talk: Dialogue) -> Answer:
        words = [token.text for token in tokens[1:]]
        utf8 = bool(words) and words[-1].upper() == "SMTPUTF8"
        if utf8:
            words.pop()
        if not words:
            return self._refuse("VRFY_SYNTAX", talk)
        name = " ".join(words)
        recipient = self._address(name, utf8=utf8)
        if not recipient:
            return self._refuse("BAD_RECIPIENT", talk)
        return self._ruled(recipient, talk) or self._say("VRFY_OK", name=name)

    def _etrn(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 2:
            return self._refuse("ETRN_SYNTAX", talk)
        name = tokens[1].text
        name = name[1:] if name[0] in "@#" else name
        if not valid_hostname(name) and not valid_literal(name):
            return self._refuse("ETRN_BAD", talk)
        return self._refuse("ETRN_DENIED", talk, name=name)

    def _not_authorized(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) < 2:
            return self._refuse("ATTRIBUTE_SYNTAX", talk, verb=tokens[0].text.upper())
        return self._refuse("NOT_AUTHORIZED", talk)

    def _quit(self, tokens: Tokens, talk: Dialogue) -> Answer:
        return self.answers.fixed("BYE", Act.CLOSE)


def _forget(talk: Dialogue) -> None:
    """Forget what belongs to one envelope."""
    for name in ("size", "auth", "utf8", "skip", "over"):
        talk.scratch.pop(name, None)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _stored(content: Content, *, loose: bool) -> int:
    """Return the size that Postfix counts: each record without its line end, plus two."""
    octets = bytes(content.octets)
    if content.size > len(octets):
        return content.size
    *lines, tail = octets.split(b"\n")
    size = len(tail) + 2 * -(-len(tail) // RECORD)
    for line in lines:
        length = len(line.rstrip(b"\r") if loose else line.removesuffix(b"\r"))
        size += length + 2 * (length // RECORD + 1)
    return size


def _hops(content: Content) -> int:
    """Count the Received lines of a message's header, as far as they can matter."""
    octets = bytes(content.octets[:HEADER_OCTETS])
    if octets.count(b"eceived:") + octets.count(b"ECEIVED:") < 2:
        return 0
    header = re.split(rb"\r?\n\r?\n", octets, maxsplit=1)[0]
    return len(RECEIVED.findall(header))
