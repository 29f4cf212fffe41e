"""The closed vocabulary of facts: what sensors may record, and nothing else.

An event says *what* happened, in the words of the sensor that saw it.  *Who* and *when*
are the stamp, put on by the shell: an attacker must not be able to sign for somebody
else.  A new kind of fact is a reviewed change here and in ``docs/events.md``.

Text from strangers is kept as latin-1 ``str``, one character an octet, so that every
octet survives; whoever shows it escapes it.
"""

from typing import Annotated

import msgspec

Octets = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A fact.  Subclasses are its kinds; ``kind`` is the dotted name on disk."""


class SensorStarted(Event, frozen=True, kw_only=True, tag="sensor.started"):
    """A listener is open: who it pretends to be, and the version that runs it."""

    address: str  # "127.0.0.1:2525"
    trap: str  # "smtp"
    persona: str
    version: str
    config: str  # SHA-256 (hex) of the effective configuration, for the evidence


class SensorStopped(Event, frozen=True, kw_only=True, tag="sensor.stopped"):
    """A listener was closed in good order; a gap without this entry was a crash."""

    sessions: int


class SessionOpened(Event, frozen=True, kw_only=True, tag="session.opened"):
    """A peer connected.  ``via`` names the PROXY host that vouched for its address."""

    via: str = ""


class SessionClosed(Event, frozen=True, kw_only=True, tag="session.closed"):
    """A session is over.  ``dialogue`` is what was said, without message bodies.

    Each line of the dialogue is (milliseconds since the session opened, who, text):
    ``C`` the peer's octets, ``S`` ours, ``M`` a message body (text is its size).
    ``unsaid`` counts the octets of dialogue left out because the record was full.
    """

    seconds: Seconds
    received: Octets
    sent: Octets
    reason: str  # "quit", "gone", "timeout", "refused", "limit", "stopped", "error"
    dialogue: tuple[tuple[int, str, str], ...] = ()
    unsaid: Octets = 0


class SessionRefused(Event, frozen=True, kw_only=True, tag="session.refused"):
    """A peer met a limit before a trap was even woken; ``count`` such in ``seconds``."""

    limit: str  # "peer", "network", "total"
    count: int
    seconds: Seconds


class TlsStarted(Event, frozen=True, kw_only=True, tag="tls.started"):
    """TLS was agreed, by STARTTLS or from the first octet."""

    version: str
    cipher: str
    server_name: str = ""  # SNI
    implicit: bool = False


class TlsFailed(Event, frozen=True, kw_only=True, tag="tls.failed"):
    """A TLS handshake did not come to an end."""

    reason: str


class Greeted(Event, frozen=True, kw_only=True, tag="smtp.greeted"):
    """The peer said HELO or EHLO (recorded when the name is new in this session)."""

    verb: str
    name: str


class AuthTried(Event, frozen=True, kw_only=True, tag="auth.tried"):
    """Credentials were offered; captured exactly.

    ``response`` is what the peer sent for mechanisms that do not reveal a password
    (CRAM-MD5: the challenge, a space, the response); ``password`` is "" then.
    """

    mechanism: str
    user: str
    password: str
    accepted: bool
    response: str = ""


class MailOffered(Event, frozen=True, kw_only=True, tag="mail.offered"):
    """A peer handed a trap a whole message; nothing was delivered.

    ``content`` names the raw message kept with this entry (SHA-256, hex); ``size`` is
    its length in octets, dots unstuffed, as offered; ``kept`` how many of them were
    kept.  ``sender`` is "" for the null reverse-path.
    """

    sender: str
    recipients: tuple[str, ...]
    content: str
    size: Octets
    kept: Octets
    helo: str = ""
    user: str = ""  # whom the peer had authenticated as
    tls: bool = False
    parameters: tuple[str, ...] = ()  # of MAIL and RCPT, as sent: "SIZE=12", "NOTIFY=NEVER"
    refused: tuple[str, ...] = ()  # recipients that the trap turned down
    answer: str = ""  # what the trap replied: its queue id is our receipt
    chunked: bool = False  # BDAT instead of DATA


class EnvelopeDropped(Event, frozen=True, kw_only=True, tag="envelope.dropped"):
    """An envelope was begun and no message came: the way scanners ask for a relay."""

    sender: str
    recipients: tuple[str, ...]
    refused: tuple[str, ...] = ()
    helo: str = ""
    user: str = ""
    reason: str = ""  # "reset", "quit", "gone", "timeout", "refused"


class OddHeard(Event, frozen=True, kw_only=True, tag="protocol.odd"):
    """Something no mail server says: it tells clients apart, and attacks.

    ``what`` is one of: early-talk, bare-lf, bare-cr, smuggling, http, tls-hello, junk,
    nul, eight-bit, long-line, pipelined-early, injected-before-tls, bad-auth, bad-proxy.
    """

    what: str
    excerpt: str = ""  # at most 200 octets


class JournalShort(Event, frozen=True, kw_only=True, tag="journal.short"):
    """The disk became too full to promise anything (or has room again)."""

    free: Octets
    wanted: Octets
    refusing: bool


class BodiesThinned(Event, frozen=True, kw_only=True, tag="journal.thinned"):
    """Raw bodies were given up to keep the quota; their events stay."""

    segment: str
    bodies: int
    freed: Octets


class SegmentDropped(Event, frozen=True, kw_only=True, tag="journal.dropped"):
    """A whole segment was given up to keep the quota; ``chain`` is its last link."""

    segment: str
    entries: int
    chain: str


class ListingWithdrawn(Event, frozen=True, kw_only=True, tag="listing.withdrawn"):
    """The operator took an indicator off the list; it stays off ``until`` (ns, 0 = ever)."""

    indicator: str
    reason: str
    until: int = 0


class ListDelivered(Event, frozen=True, kw_only=True, tag="list.delivered"):
    """A rendered list was written, reloaded and read back (or not: ``trouble``)."""

    format: str
    path: str
    listings: int
    content: str  # SHA-256 (hex) of the file
    dry_run: bool
    trouble: str = ""


AnyEvent = (
    SensorStarted
    | SensorStopped
    | SessionOpened
    | SessionClosed
    | SessionRefused
    | TlsStarted
    | TlsFailed
    | Greeted
    | AuthTried
    | MailOffered
    | EnvelopeDropped
    | OddHeard
    | JournalShort
    | BodiesThinned
    | SegmentDropped
    | ListingWithdrawn
    | ListDelivered
)


class Stamp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who and when, as the shell saw it; nothing in here was said by a stranger."""

    at: int  # nanoseconds since 1970-01-01 UTC
    sensor: str = ""  # name of the listener or the part of Trapline that speaks
    session: str = ""  # the same for all entries of one connection
    peer: str = ""  # address, canonical text (RFC 5952 for IPv6)
    port: int = 0
    local: str = ""  # "address:port" the peer connected to


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one journal frame holds as JSON."""

    stamp: Stamp
    event: AnyEvent


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A record and its name: ``writer-segment-ordinal``, for ever the same."""

    id: str
    stamp: Stamp
    event: AnyEvent


KINDS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__
}
