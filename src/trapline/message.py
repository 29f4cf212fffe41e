"""Facts about one message: what can be said of it without opening any link.

Must not be in here: parsing (``analysis/messages.py``), verdicts.
"""

import enum

import msgspec


class Sort(enum.StrEnum):
    """The talk's four kinds of unwanted mail, kept apart, and probes for a relay."""

    UCE = "uce"  # unsolicited commercial: sells or lures (links, attachments, offers)
    BULK = "bulk"  # unsolicited bulk (UJE): many recipients or near-identical copies
    VIRUS = "virus"  # carries malware, by scanner or by attachment type
    RETURNED = "returned"  # bounces, postmaster notices, auto-replies: never evidence
    PROBE = "probe"  # a relay test


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A part with a name or a non-text type."""

    name: str
    type: str  # "application/zip"
    size: int  # octets, decoded
    sha256: str
    danger: str = ""  # why it may harm who opens it: "Windows program"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the message with this entry id says, decoded and bounded.

    All text is from strangers: escape it wherever it is shown.  ``fingerprint`` is the
    same for near-identical bodies; ``defects`` names what was malformed or cut; ``clues``
    are the marks of a relay test that the message bears.
    """

    entry: str
    subject: str = ""
    from_: str = msgspec.field(default="", name="from")
    message_id: str = ""
    date: str = ""
    sort: Sort = Sort.UCE
    why: str = ""  # the reason for ``sort``
    received: tuple[str, ...] = ()  # addresses of the Received chain, newest first
    origin: str = ""  # first hop of the chain that is not private or our own
    urls: tuple[str, ...] = ()  # as found; defang on display
    hosts: tuple[str, ...] = ()  # where the URLs lead, each once: lower case, IDN as ASCII
    attachments: tuple[Attachment, ...] = ()
    fingerprint: str = ""
    defects: tuple[str, ...] = ()
    clues: tuple[str, ...] = ()
