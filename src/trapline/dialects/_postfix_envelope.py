"""Postfix on envelopes and messages: MAIL, RCPT, VRFY, ETRN, DATA, BDAT, and their ends.

Must not be in here: any text that a stranger can see.

Source: mail_cmd(), rcpt_cmd(), data_cmd(), bdat_cmd() of Postfix 3.7.11; cleanup(8).
"""

import re
from typing import Final

import msgspec
import stringzilla

from trapline.dialects import _parameters as parameters
from trapline.dialects._hostnames import valid_hostname, valid_literal
from trapline.dialects._postfix_base import Base, forget
from trapline.dialects._tok822 import extract, resolve
from trapline.dialects._tokens import Tokens
from trapline.session import Content
from trapline.smtpwords import Act, Answer, Dialogue, Ruling, State

S = State
# By names of their own: looking up a member of an enum takes its time.
TAKEN, MAIL, RCPT = Ruling.TAKEN, Act.MAIL, Act.RCPT

HUGE: Final = 2**63 - 1  # what fits into an off_t
HEADER_OCTETS: Final = 2**16  # of a message that are searched for Received lines
RECEIVED: Final = re.compile(rb"^Received[ \t]*:", re.IGNORECASE | re.MULTILINE)
HOPS: Final = 10  # "eceived:" in a message, before its header is looked at for hops
HOPS_OCTETS: Final = 400  # no shorter message can have too many
OVERHEAD: Final = 400  # octets that the queue file adds to a message: its own Received line
RECORD: Final = 2048  # octets of a line in a queue file; longer ones are split
SPARE_CRS: Final = re.compile(rb"(?<!\r)\r+(?=\r\n)")  # looks back, or takes a run's square


class Envelope(Base):
    """The part of Postfix that takes mail."""

    def mail(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) < 3 or tokens[1].text.upper() != "FROM:":
            return self.refuse("MAIL_SYNTAX", talk)
        options = [token.text for token in tokens[3:]]
        utf8 = any(option.upper() == "SMTPUTF8" for option in options)
        sender = None if tokens[2].broken else self._address(tokens[2].text, talk, utf8=utf8)
        if sender is None:
            return self.refuse("BAD_SENDER", talk)
        if trouble := parameters.of_mail(options, talk):
            return self.refuse(trouble[0], talk, option=trouble[1])
        if talk.scratch.get("size", 0) > self.limit(talk):
            return self.refuse("SIZE_TOO_BIG", talk)
        talk.scratch["utf8"] = utf8
        return Answer(self.mail_ok, MAIL, sender, parameters=tuple(options))

    def rcpt(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) < 3 or tokens[1].text.upper() != "TO:":
            return self.refuse("RCPT_SYNTAX", talk)
        utf8 = talk.scratch.get("utf8", False)
        recipient = None if tokens[2].broken else self._address(tokens[2].text, talk, utf8=utf8)
        if not recipient:
            return self.refuse("BAD_RECIPIENT", talk)
        options = tuple(token.text for token in tokens[3:])
        if trouble := parameters.of_rcpt(options):
            return self.refuse(trouble[0], talk, option=trouble[1])
        goal = self._resolved(recipient, talk) or recipient
        return self.recipient(recipient, goal, options, talk)

    def recipient(
        self, recipient: str, goal: str, options: tuple[str, ...], talk: Dialogue
    ) -> Answer:
        """Take a recipient or turn it down, as the policy says."""
        if len(talk.recipients) >= self.most:
            over = talk.scratch["over"] = talk.scratch.get("over", 0) + 1
            talk.errors += over > self.limits["overshoot"]
            return self.answers.fixed("TOO_MANY_RECIPIENTS")
        refusal = self._ruled(recipient, goal, talk)
        if refusal is not None:
            return msgspec.structs.replace(refusal, act=Act.TURN_DOWN, name=recipient)
        return Answer(self.rcpt_ok, RCPT, recipient, parameters=options)

    def _ruled(self, recipient: str, goal: str, talk: Dialogue) -> Answer | None:
        """Word the policy's refusal of mail that would go to ``goal``; None: it is taken."""
        ruling = talk.policy.ruling(goal, talk)
        if ruling is TAKEN or recipient.lower() == "postmaster":
            return None
        return self.refuse(ruling.name, talk, recipient=recipient)

    def _address(self, argument: str, talk: Dialogue, *, utf8: bool) -> str | None:
        """Return the address an argument means, or None: it means none."""
        address = extract(argument)
        if not address:
            return address
        goal = self._resolved(address, talk)
        if goal is None or not (utf8 or goal.rpartition("@")[2].isascii()):
            return None
        return address

    def _resolved(self, address: str, talk: Dialogue) -> str | None:
        """Return where mail for an address would go, or None: nowhere."""
        literal = f"[ipv6:{talk.local}]" if ":" in talk.local else f"[{talk.local}]"

        def is_local(domain: str) -> bool:
            name = domain.lower()
            return name in self.local or name in talk.policy.own or name == literal

        return resolve(address, self.identity.host, is_local)

    def data(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 1:
            return self.refuse("DATA_SYNTAX", talk)
        return self.answers.fixed("DATA_GO", Act.DATA)

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:
        """Take a message or say that it is too big; success forgives all errors."""
        errors = talk.errors
        forget(talk)
        limit = self.limit(talk)
        size = content.size
        if chunked or size > limit - RECORD:
            size = _stored(content, loose=self.loose)
        if size > limit - OVERHEAD:
            return self.settle(self.refuse("TOO_BIG", talk), errors, talk)
        if _hops(content.octets) >= self.limits["hops"]:
            return self.settle(self.refuse("TOO_MANY_HOPS", talk), errors, talk)
        talk.errors = talk.junk = 0
        name = self.queue_ids.next(talk)
        if chunked:
            answer = self.say("CHUNKS_KEPT", size=size, id=name)
        else:
            answer = Answer(name.encode().join(self.kept))
        return self.settle(answer, errors, talk) if errors else answer

    def limit(self, talk: Dialogue) -> int:
        """Return the octets of the biggest message."""
        return talk.policy.size or self.limits["size"]

    def not_kept(self, talk: Dialogue) -> Answer:
        """Say that the queue's disk is full."""
        return self.settle(self.refuse("NOT_KEPT", talk), talk.errors, talk)

    def bdat(self, tokens: Tokens, talk: Dialogue) -> Answer:
        words = [token.text for token in tokens]
        if not 2 <= len(words) <= 3 or not digits(words[1]) or int(words[1]) > HUGE:
            return self.refuse("BDAT_SYNTAX", talk, Act.CLOSE)
        size, last = int(words[1]), len(words) == 3
        if last and words[2].upper() != "LAST":
            return self.refuse("BDAT_SYNTAX", talk, Act.CLOSE)
        refusal = self._chunk_refusal(size, talk, last=last)
        if not refusal:
            return Answer(b"", Act.CHUNK, size=size, last=last)
        if talk.state is not S.CHUNKS:
            talk.state = S.CHUNKS if talk.state in (S.SENDER, S.RECIPIENT) else S.ASTRAY
        talk.scratch["skip"] = True
        if last:
            forget(talk)
        answer = self.refuse(refusal, talk, size=size)
        return msgspec.structs.replace(answer, act=Act.CHUNK, size=size, last=last)

    def _chunk_refusal(self, size: int, talk: Dialogue, *, last: bool) -> str:
        """Name the reason why a chunk is read and dropped."""
        if not size and not last:
            return "BDAT_NULL"
        if talk.state is S.ASTRAY or "skip" in talk.scratch:
            return "BDAT_DISCARDED"
        if not talk.recipients:
            return "NO_RECIPIENTS" if talk.state is S.SENDER else "NEED_RCPT"
        if talk.taken + size > self.limit(talk):
            return "BDAT_TOO_BIG"
        return ""

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:
        """Take a chunk that is not the last one."""
        return self.settle(self.say("BDAT_OK", size=size), talk.errors, talk)

    def vrfy(self, tokens: Tokens, talk: Dialogue) -> Answer:
        words = [token.text for token in tokens[1:]]
        utf8 = bool(words) and words[-1].upper() == "SMTPUTF8"
        if utf8:
            words.pop()
        if not words:
            return self.refuse("VRFY_SYNTAX", talk)
        name = " ".join(words)
        recipient = self._address(name, talk, utf8=utf8)
        if not recipient:
            return self.refuse("BAD_RECIPIENT", talk)
        goal = self._resolved(recipient, talk) or recipient
        return self._ruled(recipient, goal, talk) or self.say("VRFY_OK", name=name)

    def etrn(self, tokens: Tokens, talk: Dialogue) -> Answer:
        if len(tokens) != 2:
            return self.refuse("ETRN_SYNTAX", talk)
        name = tokens[1].text
        name = name[1:] if name[0] in "@#" else name
        if not valid_hostname(name) and not valid_literal(name):
            return self.refuse("ETRN_BAD", talk)
        return self.refuse("ETRN_DENIED", talk, name=name)


def digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _stored(content: Content, *, loose: bool) -> int:
    """Return the size that Postfix counts: each record without its line end, plus two."""
    octets = content.octets
    if content.size > len(octets):
        return content.size
    ended = octets.rfind(b"\n") + 1
    shed = octets.count(b"\n") + octets.count(b"\r\n")
    if loose and b"\r\r\n" in octets:
        shed += sum(len(found[0]) for found in SPARE_CRS.finditer(octets))
    records = octets.count(b"\n") + -(-(len(octets) - ended) // RECORD)
    at = RECORD - 1  # no line of a record or more can hide between two such places
    while at < ended:
        start, end = octets.rfind(b"\n", 0, at) + 1, octets.find(b"\n", at)
        text = octets[start:end]
        records += len(text.rstrip(b"\r") if loose else text.removesuffix(b"\r")) // RECORD
        at = end + RECORD
    return len(octets) - shed + 2 * records


def _hops(octets: bytes | bytearray) -> int:
    """Count the Received lines of a message's header, as far as they can matter."""
    if len(octets) < HOPS_OCTETS or stringzilla.count(octets, b"eceived:") < HOPS:
        return 0
    header = re.split(rb"\r?\n\r?\n", octets[:HEADER_OCTETS], maxsplit=1)[0]
    return len(RECEIVED.findall(header))
