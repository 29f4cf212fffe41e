"""Words of SMTP: what an engine (``traps/``) and a dialect (``dialects/``) say to each other.

**How a dialect is written.**  One file per family of servers; it holds a class ``Dialect``
that fulfils the protocol of that name below, and it never awaits, reads or sends.  The
engine reads a line and asks ``answer(line, talk)``; the dialect looks at the
:class:`Dialogue` (what was agreed so far), and returns an :class:`Answer`: the octets to
send, and one :class:`Act` for the engine to perform (take this sender, read the data,
start TLS, hang up).  The engine alone performs acts, records facts, and keeps
``state``, ``sender``, ``recipients`` of the Dialogue (a dialect may set ``state`` where
it refuses BDAT); the dialect owns the counters (``errors``, ``junk``) and ``scratch``,
which the engine never looks at and which the dialect empties when an envelope ends.

- The order of commands is the dialect's table ``ORDER``: ``ORDER[state][verb]`` is the
  name of the refusal; a verb that is missing there is in order.
- No text is written in a dialect: every reply is ``persona.replies[NAME]``; ``REPLIES``
  lists the names the dialect uses, and a contract test holds every persona of the
  dialect to that list.  Numbers are ``persona.limits``, switches ``persona.traits``.
- Whom a trap takes is not the server's habit but the operator's choice: ask
  ``talk.policy.ruling(...)`` when RCPT or VRFY names somebody, and word what it says.
- Delays that the server makes (tarpits after errors) are ``Answer.wait``.
- Replies that never change come from ``Answers.fixed(name)``, cached.

Must not be in here: the habits or the wording of any one server, and awaiting.
"""

import enum
import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import msgspec

from trapline.persona import Identity, Persona
from trapline.session import Content


class State(enum.Enum):
    """Where a session stands between two commands."""

    CONNECTED = "no HELO or EHLO yet"
    GREETED = "greeted, no envelope"
    SENDER = "a sender was taken"
    RECIPIENT = "a sender and a recipient were taken"
    CHUNKS = "BDAT was said within an envelope, its LAST is to come"
    ASTRAY = "BDAT was said without an envelope, its LAST is to come"

    __hash__ = object.__hash__  # members are looked up in tables, and there is one of each


# By names of their own: looking up a member of an enum takes its time.
_CONNECTED, _GREETED = State.CONNECTED, State.GREETED


class Act(enum.Enum):
    """What the engine does with an answer, besides sending it."""

    SAY = "nothing"
    GREET = "note ``name`` (``verb`` HELO or EHLO); drop the envelope"
    MAIL = "begin an envelope: ``name`` is the sender"
    RCPT = "add ``name`` to the envelope"
    TURN_DOWN = "keep ``name`` as a recipient that was refused"
    RESET = "drop the envelope"
    DATA = "send, read a message, ask ``received``"
    CHUNK = "read ``size`` octets; with a reply: drop them and send it, else keep them"
    AUTH = "hold an AUTH dialogue: mechanism ``verb``, initial response ``initial``"
    TLS = "send, start TLS, forget everything"
    CLOSE = "send and hang up"

    __hash__ = object.__hash__


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a server says to one command, and what it does.

    ``odd`` names something no mail server says (see ``events.OddHeard``); the engine
    records it with the line as its excerpt.
    """

    reply: bytes
    act: Act = Act.SAY
    name: str = ""
    verb: str = ""
    parameters: tuple[str, ...] = ()  # of MAIL and RCPT, as sent
    size: int = 0  # octets of the chunk that follows
    last: bool = False  # the chunk is the last one
    initial: bytes | None = None  # decoded initial response of AUTH
    wait: float = 0.0  # seconds before the reply
    odd: str = ""
    hang_up: bool = False  # hang up once the act is done
    at_once: bool = False  # a chunk that is dropped is refused before it was read


class Ruling(enum.Enum):
    """What the operator's policy says about a recipient."""

    TAKEN = "accept"
    UNKNOWN_USER = "it would be ours, but there is no such user"
    RELAY_DENIED = "not ours, and this peer may not relay"
    AUTH_REQUIRED = "only those who authenticated may send"


class Policy(Protocol):
    """Whom a trap takes mail for, and what it offers; the same for all its sessions."""

    size: int  # octets of the biggest message, 0 = the persona's own
    own: frozenset[str]  # domains, lower case, that are local besides the host's own name

    def ruling(self, recipient: str, talk: "Dialogue") -> Ruling:
        """Say whether mail for this address (internal form, unquoted) is taken."""

    def offers_auth(self, talk: "Dialogue") -> bool:
        """Say whether AUTH is offered to this session now."""

    def offers_tls(self, talk: "Dialogue") -> bool:
        """Say whether STARTTLS is offered to this session now."""

    def needs_tls(self, talk: "Dialogue") -> bool:
        """Say whether this session must start TLS before it may send mail."""


class Dialogue:
    """What was agreed so far in one session; see the module's docstring for who owns what."""

    __slots__ = (
        "claimed",
        "content",
        "errors",
        "helo",
        "host",
        "junk",
        "local",
        "messages",
        "now",
        "parameters",
        "peer",
        "pending",
        "policy",
        "recipients",
        "refused",
        "scratch",
        "sender",
        "service",
        "state",
        "taken",
        "tls",
        "user",
        "verb",
    )

    def __init__(
        self, policy: Policy, peer: str, now: int, *, local: str = "", service: str = "smtp"
    ) -> None:
        self.policy = policy
        self.peer, self.local = peer, local  # addresses of both ends, canonical text
        self.service = service  # "smtp" or "submission"
        self.now = now  # nanoseconds since 1970, before each command
        self.pending = 0  # octets the peer sent behind the command at hand
        self.state = State.CONNECTED
        self.verb = ""  # "HELO" or "EHLO"
        self.helo = ""
        self.sender = ""
        self.recipients: list[str] = []
        self.refused: list[str] = []
        self.parameters: list[str] = []
        self.taken = 0  # octets of the chunks taken so far
        self.content: bytes | bytearray = b""  # those chunks, for ``chunk_read``
        self.messages = 0  # taken in this session
        self.user = ""  # whom the peer authenticated as
        self.claimed = ""  # whom it tried to authenticate as, last
        self.tls = False
        self.errors = self.junk = 0
        self.scratch: dict[str, Any] = {}  # whatever else a dialect wants to remember

    def drop(self) -> None:
        """Forget the envelope."""
        self.state = _GREETED if self.verb else _CONNECTED
        self.sender, self.taken, self.content = "", 0, b""
        self.recipients, self.refused, self.parameters = [], [], []


class Dialect(Protocol):
    """A family of servers; built once for a persona and an identity."""

    line: int  # octets to ask ``read_line`` for; what is longer comes in pieces
    splits: bool  # what is left of a longer line is the next line; else it is skipped
    shuts: bool  # with a line twice as long the session is over, once it is answered
    loose: bool | None  # LF . LF ends the data as well (see Session.read_message)
    keep: int  # octets of a message beyond which nothing is kept

    def __init__(self, persona: Persona, identity: Identity) -> None:
        """Cache what depends on persona and identity only."""

    def banner(self, talk: Dialogue) -> Answer:
        """Greet (or refuse: Act.CLOSE).  ``talk.pending`` tells of early talk."""

    def answer(self, line: bytes, talk: Dialogue) -> Answer:
        """Judge one command line (with its line end, or cut at the limit)."""

    def received(self, content: Content, talk: Dialogue, *, chunked: bool) -> Answer:
        """Answer a whole message (DATA, or BDAT LAST); a 2xx promises to keep it."""

    def chunk_read(self, size: int, talk: Dialogue) -> Answer:
        """Answer a chunk that is not the last; ``talk.taken`` counts it already."""

    def not_kept(self, talk: Dialogue) -> Answer:
        """Answer a message that could not be put on disk (452 or the like)."""

    def lost(self, rest: bytes, talk: Dialogue) -> bytes:
        """Return what the server says to a peer that left, an unfinished line behind it."""

    def timed_out(self, talk: Dialogue) -> bytes:
        """Return what the server says to a peer that stayed silent for too long."""

    def nonce(self, talk: Dialogue) -> bytes:
        """Return the challenge of CRAM-MD5."""

    def challenge(self, octets: bytes, talk: Dialogue) -> bytes:
        """Return the reply that carries a challenge of an AUTH dialogue."""

    def response(self, line: bytes, talk: Dialogue) -> bytes | Answer:
        """Decode a response of an AUTH dialogue, or answer why it ends here."""

    def authenticated(self, mechanism: str, talk: Dialogue, *, accepted: bool) -> Answer:
        """Answer credentials that were understood; ``accepted`` is the policy's word."""

    def malformed(self, mechanism: str, talk: Dialogue) -> Answer:
        """Answer a response that decodes, but is not what the mechanism asks for."""


class Answers:
    """Answers of one persona that never change, rendered once."""

    __slots__ = ("_cache", "persona")

    def __init__(self, persona: Persona) -> None:
        self.persona = persona
        self._cache: dict[tuple[str, Act], Answer] = {}

    def fixed(self, name: str, act: Act = Act.SAY) -> Answer:
        """Return the reply ``name`` with an act; the same object every time."""
        answer = self._cache.get((name, act))
        if answer is None:
            answer = self._cache[name, act] = Answer(self.persona.reply(name), act)
        return answer

    def worded(self, name: str, fields: Mapping[str, object], act: Act = Act.SAY) -> Answer:
        """Return the reply ``name`` with its fields filled in."""
        return Answer(self.persona.reply(name, fields), act)


def dialect_of(persona: Persona, identity: Identity) -> Dialect:
    """Return the persona's dialect; rooms may not import one another, so by its name."""
    if (dialect := persona.built.get(identity)) is None:
        if not persona.dialect.isidentifier():
            raise ValueError(f"{persona.name}: no dialect is called {persona.dialect!r}")
        module = importlib.import_module(f"trapline.dialects.{persona.dialect}")
        dialect = persona.built[identity] = module.Dialect(persona, identity)
    return cast(Dialect, dialect)
