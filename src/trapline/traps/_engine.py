"""The engine of the SMTP traps: greet, then one line, one answer, one act, until the end.

How lines are judged is the dialect's business, whom a trap takes is the policy's; this
file performs acts and records facts.  A 2xx after a message is a promise: it is said only
once the message is on disk.

Must not be in here: the wording or the order of commands of any server.
"""

import hashlib
from typing import Final

import msgspec

from trapline.errors import Gone, NotKept, TimedOut
from trapline.events import EnvelopeDropped, Greeted, MailOffered, OddHeard
from trapline.persona import Identity, Persona
from trapline.session import Content, Session
from trapline.smtpwords import Act, Answer, Dialogue, State, dialect_of
from trapline.traps._auth import authenticate
from trapline.traps._odd import OPENINGS, odd_line, odd_message, odd_rest, ordinary
from trapline.traps._policy import Settings, policy_of

EXCERPT: Final = 200  # octets of a line kept in ``protocol.odd``
REFUSED: Final = 1000  # refused recipients kept of one envelope
NAMES: Final = 100  # different HELO names recorded of one session
LF: Final = 10
# The common acts by names of their own: looking up a member of an enum takes its time.
SAY, MAIL, RCPT, DATA = Act.SAY, Act.MAIL, Act.RCPT, Act.DATA
SENDER, RECIPIENT = State.SENDER, State.RECIPIENT


class Trap:
    """One session: the engine between Session, Dialect and Policy."""

    __slots__ = ("chunks", "dialect", "keep", "names", "odds", "policy", "session", "talk")

    def __init__(
        self,
        session: Session,
        persona: Persona,
        identity: Identity,
        settings: Settings,
        service: str,
    ) -> None:
        self.session = session
        self.dialect = dialect_of(persona, identity)
        self.policy = policy = policy_of(settings, identity)
        peer, local = session.peer.address, session.local.address
        self.talk = Dialogue(policy, peer, session.now, local=local, service=service)
        self.keep = policy.size or self.dialect.keep  # octets of a message
        self.chunks: bytes | bytearray = b""  # what BDAT brought so far
        self.odds: frozenset[str] = frozenset()  # each oddity is recorded once a session
        self.names: frozenset[str] = frozenset()  # each HELO name too

    async def hold(self) -> None:
        """Greet, converse, and leave the facts in order however it ends."""
        session, talk = self.session, self.talk
        talk.tls = session.tls is not None
        reason = "gone"
        try:
            await self._greet()
            await self._converse()
            reason = session.closing
        except Gone:
            if not session.closing:  # it only said that it has no more to say
                await session.write(self.dialect.lost(session.peek(self.dialect.line), talk))
            session.closing = session.closing or reason
        except TimedOut:
            session.closing = reason = "timeout"
            await session.write(self.dialect.timed_out(talk))
        finally:
            if rest := session.peek(EXCERPT):
                self.odd(odd_rest(rest), rest)
            self._dropped(reason)

    async def _greet(self) -> None:
        """Send the banner; whoever talks before it is told apart."""
        session, settings = self.session, self.policy.settings
        if settings.greet_seconds:
            await session.wait(settings.greet_seconds)
        self.talk.pending = session.pending()
        if self.talk.pending:
            self.odd("early-talk", session.peek(EXCERPT))
        answer = self.dialect.banner(self.talk)
        await session.write(answer.reply)
        if answer.act is Act.CLOSE:
            session.closing = "refused"

    async def _converse(self) -> None:
        """Answer line after line."""
        session, dialect, talk = self.session, self.dialect, self.talk
        tarpit = self.policy.settings.tarpit_seconds
        first = True
        while not session.closing:
            line = await session.read_line(dialect.line)
            if not ordinary(line) or (first and line[:5] not in OPENINGS):
                await self._look(line, first=first)
            first = False
            talk.now, talk.pending = session.now, session.pending()
            answer = dialect.answer(line, talk)
            if answer.odd:
                self.odd(answer.odd, line)
            if tarpit:
                await session.wait(tarpit)
            act = answer.act
            if act is RCPT:
                talk.state = RECIPIENT
                talk.recipients.append(answer.name)
                talk.parameters += answer.parameters
            elif act is MAIL:
                talk.state, talk.sender = SENDER, answer.name
                talk.parameters += answer.parameters
            elif act is DATA:
                await self._data(answer)
                continue
            elif act is not SAY:
                await self._perform(answer)
                continue
            if answer.wait or answer.hang_up:
                await self._send(answer)
            else:
                await session.write(answer.reply)

    async def _look(self, line: bytes, *, first: bool) -> None:
        """Record what is odd about a line, and skip what is left of a long one."""
        for what in odd_line(line, first=first):
            self.odd(what, line)
        if line[-1] != LF and not self.dialect.splits:
            await self._skip_line()

    async def _perform(self, answer: Answer) -> None:
        """Do what the less common answers say, and send them."""
        match answer.act:
            case Act.GREET:
                self._greeted(answer)
            case Act.CLOSE:
                self.session.closing = "quit" if answer.reply[:1] == b"2" else "refused"
            case Act.RESET:
                self._dropped("reset")
            case Act.TURN_DOWN:
                if len(self.talk.refused) < REFUSED:
                    self.talk.refused.append(answer.name)
            case Act.AUTH:
                answer = await authenticate(self, answer)
            case Act.CHUNK:
                return await self._chunk(answer)
            case Act.TLS:
                return await self._start_tls(answer)
        return await self._send(answer)

    # -- acts --------------------------------------------------------------------------

    def _greeted(self, answer: Answer) -> None:
        """Take HELO or EHLO."""
        talk = self.talk
        if talk.state is State.CONNECTED and talk.pending:
            self.odd("pipelined-early", self.session.peek(EXCERPT))
        talk.verb, talk.helo = answer.verb, answer.name
        self._dropped("reset")
        if answer.name not in self.names and len(self.names) < NAMES:
            self.names |= {answer.name}
            self.session.note(Greeted(verb=answer.verb, name=answer.name))

    async def _data(self, answer: Answer) -> None:
        """Read a message after the 354, keep it, answer it."""
        session, talk, dialect = self.session, self.talk, self.dialect
        if talk.pending:
            self.odd("pipelined-early", session.peek(EXCERPT))
        await self._send(answer)
        content = await session.read_message(self.keep, loose=dialect.loose)
        if content.smuggling or (not dialect.loose and odd_message(content.octets)):
            self.odd("smuggling", session.peek(EXCERPT))
        talk.now = session.now
        await self._keep(content, chunked=False)

    async def _chunk(self, answer: Answer) -> None:
        """Read the octets of BDAT; they belong to the message, or are dropped."""
        session, talk, dialect = self.session, self.talk, self.dialect
        dropped = bool(answer.reply)
        room = 0 if dropped else max(0, self.keep - len(self.chunks))
        if dropped and answer.at_once:
            await self._send(answer)
            answer = msgspec.structs.replace(answer, reply=b"", wait=0.0)
        content = await session.read_sized(answer.size, room)
        talk.now = session.now
        if dropped:
            if answer.last:
                self._dropped("refused")
            return await self._send(answer)
        talk.state = State.CHUNKS
        talk.taken += content.size
        if self.chunks:
            self.chunks += content.octets
        else:
            self.chunks = content.octets  # not copied: most messages are one chunk
        if answer.last:
            return await self._keep(Content(self.chunks, talk.taken), chunked=True)
        talk.content = self.chunks
        return await self._perform(dialect.chunk_read(content.size, talk))

    async def _keep(self, content: Content, *, chunked: bool) -> None:
        """Put the message on disk; only then may the reply go out."""
        session, talk = self.session, self.talk
        answer = self.dialect.received(content, talk, chunked=chunked)
        event = MailOffered(
            sender=talk.sender,
            recipients=tuple(talk.recipients),
            content=hashlib.sha256(content.octets).hexdigest(),
            size=content.size,
            kept=len(content.octets),
            helo=talk.helo,
            user=talk.user,
            tls=talk.tls,
            parameters=tuple(talk.parameters),
            refused=tuple(talk.refused),
            answer=answer.reply[:-2].decode("latin-1"),
            chunked=chunked,
        )
        try:
            await session.record(event, content.octets)
        except NotKept:
            answer = self.dialect.not_kept(talk)
        talk.messages += 1
        self.chunks = b""
        talk.drop()
        await self._send(answer)

    async def _send(self, answer: Answer) -> None:
        """Send a reply, in the server's own time."""
        if answer.wait:
            await self.session.wait(answer.wait)
        await self.session.write(answer.reply)
        if answer.hang_up:
            self.session.closing = "refused"

    async def _start_tls(self, answer: Answer) -> None:
        """Start TLS; whatever was said in the clear is forgotten (RFC 3207 section 4.2)."""
        session, talk = self.session, self.talk
        if session.pending():
            self.odd("injected-before-tls", session.peek(EXCERPT))
        await self._send(answer)
        self._dropped("reset")
        session.closing = "gone"  # unless the handshake ends well
        await session.start_tls()
        session.closing = ""
        talk.tls, talk.user, talk.verb, talk.helo = True, "", "", ""
        talk.drop()

    # -- facts -------------------------------------------------------------------------

    def _dropped(self, reason: str) -> None:
        """Forget the envelope, and record it if it named anybody."""
        talk = self.talk
        if talk.recipients or talk.refused:
            self.session.note(
                EnvelopeDropped(
                    sender=talk.sender,
                    recipients=tuple(talk.recipients),
                    refused=tuple(talk.refused),
                    helo=talk.helo,
                    user=talk.user,
                    reason=reason,
                )
            )
        self.chunks = b""
        talk.drop()

    def odd(self, what: str, octets: bytes) -> None:
        """Record something no mail server says, once a session."""
        if what and what not in self.odds:
            self.odds |= {what}
            self.session.note(OddHeard(what=what, excerpt=octets[:EXCERPT].decode("latin-1")))

    async def _skip_line(self) -> None:
        """Skip the rest of a line longer than the server's limit, if it bears with it."""
        while (await self.session.read_line(self.dialect.line))[-1] != LF:
            if self.dialect.shuts:
                self.session.closing = "refused"  # once the line was answered
                return
