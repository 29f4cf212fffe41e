"""Microsoft Exchange's front end: few words, each error five seconds late, five in all.

Limits: ``line`` octets of a command, ``size`` of a message, ``errors`` of a session,
``tarpit`` seconds before each refusal, ``recipients`` of a message.
Traits: ``mechanisms``.

Must not be in here: any text that a stranger can see.

Source: public transcripts (see the persona's ``source``); not compared with a running one.
"""

import datetime as dt
import email.utils
import re
from collections.abc import Callable
from typing import Final

import msgspec

from trapline.dialects import _sasl as sasl
from trapline.dialects._exchange_receipt import receipt
from trapline.dialects._hostnames import valid_domain
from trapline.persona import Identity, Persona
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Answers, Dialogue, Ruling, State

S = State
_NO_HELLO: Final = dict.fromkeys(("MAIL", "RCPT", "DATA", "BDAT", "AUTH"), "NEED_HELLO")
_NO_MAIL: Final = {"RCPT": "NEED_MAIL", "DATA": "NEED_MAIL", "BDAT": "NEED_MAIL"}
_IN_MAIL: Final = {"MAIL": "SENDER_GIVEN", "AUTH": "BAD_SEQUENCE", "STARTTLS": "BAD_SEQUENCE"}
ORDER: Final[dict[State, dict[str, str]]] = {
    S.CONNECTED: {**_NO_HELLO, "STARTTLS": "NEED_HELLO"},
    S.GREETED: _NO_MAIL,
    S.SENDER: {**_IN_MAIL, "DATA": "NEED_RECIPIENT", "BDAT": "NEED_RECIPIENT"},
    S.RECIPIENT: _IN_MAIL,
    S.CHUNKS: {**_IN_MAIL, "RCPT": "BAD_SEQUENCE", "DATA": "BAD_SEQUENCE"},
}
REPLIES: Final = frozenset(
    (
        *("AUTH_BAD_BASE64", "AUTH_CANCELLED", "AUTH_FAILED", "AUTH_OK", "AUTH_REQUIRED"),
        *("AUTH_TWICE", "AUTH_UNKNOWN", "BAD_ARGUMENTS", "BAD_NAME", "BAD_PARAMETER"),
        *("BAD_RECIPIENT", "BAD_SENDER", "BAD_SEQUENCE", "BANNER", "BDAT_OK", "BYE"),
        *(
            "CHALLENGE",
            "DATA_GO",
            "EHLO",
            "EXPN_DENIED",
            "HELO",
            "HELP",
            "KEPT",
            "LINE_TOO_LONG",
        ),
        *("MAIL_OK", "NEED_HELLO", "NEED_MAIL", "NEED_RECIPIENT", "NOOP", "NOT_KEPT"),
        *("NOT_RECOGNIZED", "RCPT_OK", "RELAY_DENIED", "RSET", "SENDER_GIVEN", "SIZE"),
        *("STARTTLS_GO", "STARTTLS_TWICE", "TIMEOUT", "TLS_FIRST", "TOO_MANY_ERRORS"),
        *("TOO_MANY_RECIPIENTS", "UNKNOWN_USER", "VRFY_DENIED"),
    )
)
NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
PATH: Final = re.compile(r"[ ]*<([^<>]*)>(?:[ ]+(.*))?|[ ]*([^ <>]+)(?:[ ]+(.*))?")
ROUTE: Final = re.compile(r"@[^:]*:")
LOCAL: Final = re.compile(r"[!#-'*+\-./0-9=?A-Z^-~\x80-\xff]{1,315}|\"(?:[^\"\\]|\\.){0,313}\"")
CHUNK: Final = re.compile(r"([0-9]{1,10})(?: +(LAST))?", re.IGNORECASE)
MAIL_PARAMETER: Final = re.compile(
    r"SIZE=[0-9]{1,20}|BODY=(?:7BIT|8BITMIME|BINARYMIME)|SMTPUTF8|RET=(?:FULL|HDRS)"
    r"|ENVID=[!-~]{1,100}|AUTH=[!-~]+|XRDST=[!-~]+",
    re.IGNORECASE,
)
RCPT_PARAMETER: Final = re.compile(
    r"NOTIFY=(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*)"
    r"|ORCPT=[!-~]+;[!-~]+",
    re.IGNORECASE,
)

Handler = Callable[[str, Dialogue], Answer]


class Dialect:
    """Exchange, as one persona's numbers and texts make it."""

    splits, shuts, loose = False, False, False

    def __init__(self, persona: Persona, identity: Identity) -> None:
        self.persona, self.identity, self.limits = persona, identity, persona.limits
        self.answers = Answers(persona)
        self.line, self.keep = self.limits["line"], self.limits["size"]
        self.mechanisms = persona.words("mechanisms")
        self.handlers: dict[str, Handler] = {
            "HELO": lambda argument, talk: self._hello("HELO", argument, talk),
            "EHLO": lambda argument, talk: self._hello("EHLO", argument, talk),
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": self._bdat,
            "RSET": lambda *_: self.answers.fixed("RSET", Act.RESET),
            "NOOP": lambda *_: self.answers.fixed("NOOP"),
            "HELP": lambda *_: self.answers.fixed("HELP"),
            "VRFY": lambda *_: self.answers.fixed("VRFY_DENIED"),
            "EXPN": lambda _, talk: self._refuse("EXPN_DENIED", talk),
            "QUIT": lambda *_: self.answers.fixed("BYE", Act.CLOSE),
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
        }

    # -- what the engine asks ----------------------------------------------------------

    def banner(self, talk: Dialogue) -> Answer:
        """Greet with host and date."""
        moment = dt.datetime.fromtimestamp(talk.now // 10**9, dt.UTC)
        date = email.utils.format_datetime(moment).replace(", 0", ", ", 1)
        return self._say("BANNER", date=date)

    def answer(self, line: bytes, talk: Dialogue) -> Answer:
        """Judge a command."""
        if line[-1:] != b"\n":
            return self._refuse("LINE_TOO_LONG", talk)
        verb, _, argument = line.decode("latin-1").rstrip("\r\n ").partition(" ")
        verb = verb.upper() if verb.isascii() else ""
        handler = self.handlers.get(verb)
        if handler is None:
            return self._refuse("NOT_RECOGNIZED", talk)
        if refusal := ORDER[talk.state].get(verb):
            return self._refuse(refusal, talk)
        return handler(argument.strip(" "), talk)

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:  # noqa: ARG002
        """Take a message; its receipt says how fast it came."""
        limit = talk.policy.size or self.limits["size"]
        if content.size > limit:
            return self._refuse("SIZE", talk)
        began: int = talk.scratch.pop("began", talk.now)
        return self._say("KEPT", **receipt(content.octets, talk, self.identity, began))

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Take a chunk that is not the last one."""
        return self._say("BDAT_OK", size=size)

    def not_kept(self, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Say that resources are short."""
        return self.answers.fixed("NOT_KEPT")

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Say nothing to who is gone."""
        return b""

    def timed_out(self, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Say that patience is over."""
        return self.answers.fixed("TIMEOUT").reply

    def nonce(self, talk: Dialogue) -> bytes:
        """Return a challenge of CRAM-MD5, should a persona ever offer it."""
        return sasl.nonce(talk, self.identity)

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:  # noqa: ARG002
        """Return the reply that carries a challenge."""
        return self._say("CHALLENGE", text=sasl.encoded(octets)).reply

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:
        """Decode a response, or answer why the dialogue ends here."""
        text = line.rstrip(b"\r\n")
        if text == b"*":
            return self._refuse("AUTH_CANCELLED", talk)
        octets = sasl.decoded(text)
        return self._refuse("AUTH_BAD_BASE64", talk) if octets is None else octets

    def authenticated(self, mechanism: str, talk: Dialogue, *, accepted: bool) -> Answer:  # noqa: ARG002
        """Answer credentials."""
        return self.answers.fixed("AUTH_OK") if accepted else self._refuse("AUTH_FAILED", talk)

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:  # noqa: ARG002
        """Answer a response that is not what the mechanism asks for."""
        return self._refuse("AUTH_FAILED", talk)

    # -- within ------------------------------------------------------------------------

    def _say(self, name: str, act: Act = Act.SAY, /, **fields: object) -> Answer:
        return self.answers.worded(name, {"host": self.identity.host, **fields}, act)

    def _refuse(self, name: str, talk: Dialogue) -> Answer:
        """Refuse, late; too many refusals end the session."""
        talk.errors += 1
        wait = float(self.limits["tarpit"])
        answer = self.answers.fixed(name)
        if talk.errors > self.limits["errors"]:
            answer = self.answers.fixed("TOO_MANY_ERRORS", Act.CLOSE)
        return msgspec.structs.replace(answer, wait=wait)

    # -- commands ----------------------------------------------------------------------

    def _hello(self, verb: str, name: str, talk: Dialogue) -> Answer:
        if name and not NAME.fullmatch(name):
            return self._refuse("BAD_NAME", talk)
        tls, auth = talk.policy.offers_tls(talk), talk.policy.offers_auth(talk)
        hidden = ("" if tls else "STARTTLS", "" if auth else "AUTH")
        lines = [x for x in self.persona.extensions if x.partition(" ")[0] not in hidden]
        size = talk.policy.size or self.limits["size"]
        fields = {"size": size, "mechanisms": " ".join(self.mechanisms)}
        extensions = "\n".join(lines).format_map(fields)
        reply = self._say(verb, peer=talk.peer, extensions=extensions).reply
        return Answer(reply, Act.GREET, name, verb)

    def _mail(self, argument: str, talk: Dialogue) -> Answer:
        if talk.policy.needs_tls(talk):
            return self._refuse("TLS_FIRST", talk)
        if argument[:5].upper() != "FROM:":
            return self._refuse("BAD_ARGUMENTS", talk)
        address, options = _path(argument[5:])
        if address is None or not (address == "" or _valid(address)):
            return self._refuse("BAD_SENDER", talk)
        if not all(MAIL_PARAMETER.fullmatch(option) for option in options):
            return self._refuse("BAD_PARAMETER", talk)
        sizes = [int(option[5:]) for option in options if option[:5].upper() == "SIZE="]
        if max(sizes, default=0) > (talk.policy.size or self.limits["size"]):
            return self._refuse("SIZE", talk)
        reply = self.answers.fixed("MAIL_OK").reply
        return Answer(reply, Act.MAIL, address, parameters=options)

    def _rcpt(self, argument: str, talk: Dialogue) -> Answer:
        if argument[:3].upper() != "TO:":
            return self._refuse("BAD_ARGUMENTS", talk)
        address, options = _path(argument[3:])
        if not address or not _valid(address):
            return self._refuse("BAD_RECIPIENT", talk)
        if not all(RCPT_PARAMETER.fullmatch(option) for option in options):
            return self._refuse("BAD_PARAMETER", talk)
        if len(talk.recipients) >= self.limits["recipients"]:
            return self.answers.fixed("TOO_MANY_RECIPIENTS")
        ruling = talk.policy.ruling(address.replace('"', ""), talk)
        if ruling is not Ruling.TAKEN:
            answer = self._refuse(ruling.name, talk)
            return msgspec.structs.replace(
                answer, act=Act.TURN_DOWN, name=address, hang_up=answer.act is Act.CLOSE
            )
        reply = self.answers.fixed("RCPT_OK").reply
        return Answer(reply, Act.RCPT, address, parameters=options)

    def _data(self, argument: str, talk: Dialogue) -> Answer:
        if argument:
            return self._refuse("BAD_ARGUMENTS", talk)
        talk.scratch["began"] = talk.now
        return self.answers.fixed("DATA_GO", Act.DATA)

    def _bdat(self, argument: str, talk: Dialogue) -> Answer:
        found = CHUNK.fullmatch(argument)
        if found is None:
            return self._refuse("BAD_ARGUMENTS", talk)
        talk.scratch.setdefault("began", talk.now)
        return Answer(b"", Act.CHUNK, size=int(found[1]), last=bool(found[2]))

    def _starttls(self, argument: str, talk: Dialogue) -> Answer:
        if argument:
            return self._refuse("BAD_ARGUMENTS", talk)
        if talk.tls:
            return self._refuse("STARTTLS_TWICE", talk)
        if not talk.policy.offers_tls(talk):
            return self._refuse("NOT_RECOGNIZED", talk)
        return self.answers.fixed("STARTTLS_GO", Act.TLS)

    def _auth(self, argument: str, talk: Dialogue) -> Answer:
        name, _, rest = argument.partition(" ")
        if not talk.policy.offers_auth(talk) or name.upper() not in self.mechanisms:
            return self._refuse("AUTH_UNKNOWN", talk)
        if talk.user:
            return self._refuse("AUTH_TWICE", talk)
        if not rest:
            return Answer(b"", Act.AUTH, verb=name.upper())
        octets = sasl.decoded(rest.strip().encode("latin-1"))
        if octets is None:
            return self._refuse("AUTH_BAD_BASE64", talk)
        return Answer(b"", Act.AUTH, verb=name.upper(), initial=octets)


def _path(text: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the address, source route gone, and the parameters; None: there is none."""
    found = PATH.fullmatch(text)
    if found is None:
        return None, ()
    address = found[1] if found[1] is not None else found[3]
    options = found[2] or found[4] or ""
    return ROUTE.sub("", address, count=1), tuple(options.split())


def _valid(address: str) -> bool:
    local, at, domain = address.rpartition("@")
    return bool(at) and LOCAL.fullmatch(local) is not None and valid_domain(domain)
