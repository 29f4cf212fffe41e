"""Octets of a segment: its header, its frames, and the chain through them.

    segment = header block, the same block again, frame*, seal frame
    frame   = mark 8 | head CRC 4 | raw octets 4 | flags 4 | raw CRC 4
              | ordinal 4 | JSON octets 4 | JSON | raw

Numbers are little-endian.  The head CRC covers what stands between it and the raw octets.
The mark is random for each segment, so nothing a stranger sent can pass for a
frame.  The chain is one SHA-256 over the header and every frame from its ordinal to the
end of its JSON; raw octets are bound to it by the SHA-256 inside the JSON, so they can be
given up later and the chain still holds.

Must not be in here: files.
"""

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from hashlib import _Hash

HEAD: Final = struct.Struct("<8sIIIIII")
BODY: Final = struct.Struct("<IIIII")  # what the head CRC covers before the JSON
COVERED: Final = 12  # offset in a frame of what the head CRC covers
CHAINED: Final = 24  # offset in a frame of what the chain covers: ordinal, length, JSON
_LEAD: Final = struct.Struct("<8sI")  # the mark and the head CRC
_PAIR: Final = struct.Struct("<II")

THINNED: Final = 1  # the raw octets were given up
SEAL: Final = 2  # the last frame: the segment is complete

JSON_LIMIT: Final = 2**24  # octets; bounds what a damaged length can make a reader load
MAGIC: Final = b"TRAPLOG1"
BLOCK: Final = 256  # octets of a header block
FIRST: Final = 2 * BLOCK  # offset of the first frame
GENESIS: Final = "0" * 64  # the link before a writer's first segment

_PREFIX: Final = struct.Struct("<8sII")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment says of itself; ``previous`` is the link of the one before it."""

    format: int = 1
    writer: str
    segment: int
    mark: str  # hex
    created: int  # nanoseconds since 1970
    previous: str

    def pack(self) -> bytes:
        """Return both header blocks."""
        text = msgspec.json.encode(self)
        block = _PREFIX.pack(MAGIC, len(text), crc32(text)) + text
        if len(block) > BLOCK:
            raise ValueError("a segment header does not fit its block")
        return block.ljust(BLOCK, b"\0") * 2

    def chain(self) -> "_Hash":
        """Begin the segment's chain."""
        return sha256(msgspec.json.encode(self))


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of a seal frame."""

    entries: int
    link: str


class Frame(NamedTuple):
    """A frame found in a segment; the raw octets stay where they are."""

    at: int  # offset of the frame
    ordinal: int
    flags: int
    text: bytes  # JSON
    raw_at: int
    raw_octets: int
    raw_crc: int


def unpack_header(octets: bytes) -> Header | None:
    """Read the first header block that is whole."""
    for block in (octets[:BLOCK], octets[BLOCK:FIRST]):
        if len(block) < BLOCK:
            continue
        magic, length, crc = _PREFIX.unpack_from(block)
        text = block[_PREFIX.size : _PREFIX.size + length]
        if magic == MAGIC and len(text) == length and crc32(text) == crc:
            try:
                return msgspec.json.decode(text, type=Header)
            except msgspec.DecodeError:  # whole, but of a format to come
                continue
    return None


def pack_head(
    mark: bytes, ordinal: int, text: bytes, raw: bytes | bytearray, flags: int
) -> bytes:
    """Return a frame up to its raw octets."""
    body = BODY.pack(len(raw), flags, crc32(raw), ordinal, len(text)) + text
    return _LEAD.pack(mark, crc32(body)) + body


def seal_of(mark: bytes, ordinal: int, entries: int, link: str) -> bytes:
    """Return the frame that ends a segment."""
    text = msgspec.json.encode(Seal(entries=entries, link=link))
    return pack_head(mark, ordinal, text, b"", SEAL)


def unpack_seal(text: bytes) -> Seal | None:
    """Read the JSON of a seal frame."""
    try:
        return msgspec.json.decode(text, type=Seal)
    except msgspec.DecodeError:
        return None


def chained(frame: Frame) -> bytes:
    """Return the octets of a frame that the chain covers."""
    return _PAIR.pack(frame.ordinal, len(frame.text)) + frame.text
