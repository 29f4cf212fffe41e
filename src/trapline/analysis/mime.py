"""MIME structure: octets in, headers and leaf parts out; bounded, linear, never raising.

The standard library's parser walks a stack of open boundaries for every line, so nested
multiparts cost it depth x lines, and deep ones its recursion limit.  Here every level
is cut by searching for its boundary, and depth, parts, headers and their sizes have
limits.  What is cut or malformed is named in ``defects``.

Must not be in here: what the parts mean (``messages``), how text is decoded (``headers``).
"""

import binascii
import email.utils
import quopri
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from trapline.analysis import headers

DEPTH: Final = 16  # levels of multipart or message; genuine mail rarely passes 6
PARTS: Final = 200  # leaf parts of one message
HEADERS: Final = 1000  # fields of one header block
HEADER_BLOCK: Final = 128 * 2**10  # octets of one header block that are read
FIELD: Final = 8 * 2**10  # octets of one field that are read
_VALUE: Final = 2 * 2**10  # of a field with parameters

_FIELD: Final = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)\n?", re.MULTILINE)
_PARAMETER: Final = re.compile(
    r";\s*([^\s=;\"]+)\s*=\s*(\"(?:[^\"\\]|\\.)*\"?|[^;]*)", re.DOTALL
)
_NOT_BASE64: Final = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)
_BLANK: Final = re.compile(rb"\r?\n\r?\n")


class Headers(msgspec.Struct, frozen=True):
    """The fields of one header block: names in lower case, values latin-1, unfolded."""

    fields: tuple[tuple[str, str], ...] = ()
    first: dict[str, str] = {}

    def get(self, name: str) -> str:
        """Return the first field of that name, or ""."""
        return self.first.get(name, "")

    def all(self, name: str) -> list[str]:
        """Return every field of that name, topmost first."""
        return [value for key, value in self.fields if key == name]

    def __contains__(self, name: str) -> bool:
        return name in self.first


class Part(msgspec.Struct, frozen=True):
    """A leaf of the MIME tree."""

    type: str  # "text/plain"
    parameters: dict[str, str]  # of Content-Type, names in lower case
    disposition: str  # "attachment", "inline" or ""
    name: str  # as given, still encoded
    encoding: str  # of the transfer, lower case
    body: bytes  # as it stands in the message
    enclosed: bool  # within a message/rfc822: somebody else's words

    def content(self) -> bytes:
        """Undo the transfer encoding; broken encodings give what can be saved."""
        if self.encoding == "base64":
            return _base64(self.body)
        if self.encoding == "quoted-printable":
            return quopri.decodestring(self.body)
        if self.encoding in {"x-uuencode", "uuencode", "x-uue", "uue"}:
            return _uu(self.body)
        return self.body


class Mail(msgspec.Struct, frozen=True):
    """A message taken apart; ``parts`` in the order they stand in it."""

    headers: Headers
    type: str  # of the whole: "multipart/report"
    parameters: dict[str, str]
    parts: tuple[Part, ...]
    defects: tuple[str, ...]


def parse(octets: bytes) -> Mail:
    """Take a message apart; any octets give a Mail."""
    defects: dict[str, None] = {}
    if b"\n" not in octets[:HEADER_BLOCK] and b"\r" in octets[:HEADER_BLOCK]:
        octets = octets.replace(b"\r", b"\n")
        defects["bare-cr"] = None
    fields, body = split(octets, defects)
    kind, parameters = typed(fields, defects)
    parts = tuple(_leaves(fields, body, defects))
    return Mail(fields, kind, parameters, parts, tuple(defects))


def split(octets: bytes, defects: dict[str, None]) -> tuple[Headers, bytes]:
    """Divide octets into a header block, read, and the body."""
    start = octets.find(b"\n") + 1 if octets.startswith((b"From ", b">From ")) else 0
    if (
        octets[start : start + 2] in {b"\r\n", b"\n", b"\n\n"}
        or octets[start : start + 1] == b"\n"
    ):
        return Headers(), octets[octets.find(b"\n", start) + 1 :]
    blank = _BLANK.search(octets, start)
    end, body = blank.span() if blank else (len(octets), len(octets))
    block = octets[start : min(end, start + HEADER_BLOCK)]
    fields = _FIELD.findall(block)
    if sum(value.count(b"\n") for _, value in fields) + len(fields) != block.count(b"\n") + 1:
        # A line that is no field ends the header block, as in the standard library.
        fields, stop = _until_junk(block)
        if start + stop < min(end, start + HEADER_BLOCK):
            defects["no-separator"] = None
            body = start + stop
    if end - start > HEADER_BLOCK or len(fields) > HEADERS:
        defects["headers-cut"] = None
    read = tuple(_field(name, value, defects) for name, value in fields[:HEADERS])
    return Headers(read, dict(reversed(read))), octets[body:]


def typed(fields: Headers, defects: dict[str, None]) -> tuple[str, dict[str, str]]:
    """Return the media type and its parameters; text/plain where there is none."""
    value = fields.get("content-type")
    if not value:
        return "text/plain", {}
    kind, parameters = valued(value)
    if kind.count("/") != 1:
        defects["bad-type"] = None
        kind = "text/plain"
    return kind, parameters


def valued(value: str) -> tuple[str, dict[str, str]]:
    """Split ``kind; name=value``, with RFC 2231 continuations and charsets undone."""
    value = value[:_VALUE]
    kind = value.partition(";")[0].strip().lower()
    found = [(n.lower(), _unquoted(v)) for n, v in _PARAMETER.findall(value)]
    if any("*" in name for name, _ in found):
        found = [("", ""), *found]  # decode_params() passes the first over
        found = [(n, _collapsed(v)) for n, v in email.utils.decode_params(found)[1:]]
    return kind, dict(reversed(found))  # the first of a name counts


def _leaves(fields: Headers, body: bytes, defects: dict[str, None]) -> Iterator[Part]:
    """Yield the leaf parts, depth first, without recursion."""
    waiting = [(fields, body, 0, False)]
    count = 0
    while waiting:
        fields, body, depth, enclosed = waiting.pop()
        kind, parameters = typed(fields, defects)
        inner: list[bytes] | None = None
        if depth >= DEPTH:
            if kind.startswith(("multipart/", "message/")):
                defects["too-deep"] = None
        elif kind.startswith("multipart/"):
            inner = _pieces(body, parameters.get("boundary", ""), defects)
        elif kind in {"message/rfc822", "message/global"}:
            inner, enclosed = [_transferred(fields, body)], True
        if inner is not None:
            split_ones = [split(piece, defects) for piece in inner]
            waiting += [(h, b, depth + 1, enclosed) for h, b in reversed(split_ones)]
            continue
        count += 1
        if count > PARTS:
            defects["too-many-parts"] = None
            return
        yield _part(kind, parameters, fields, body, enclosed=enclosed)


def _part(
    kind: str, parameters: dict[str, str], fields: Headers, body: bytes, *, enclosed: bool
) -> Part:
    disposition, more = valued(fields.get("content-disposition"))
    name = more.get("filename") or parameters.get("name", "")
    encoding = fields.get("content-transfer-encoding").strip().lower()
    return Part(kind, parameters, disposition, name, encoding, body, enclosed)


def _pieces(body: bytes, boundary: str, defects: dict[str, None]) -> list[bytes] | None:
    """Cut a multipart's body at its boundary lines; None where there is no telling."""
    mark = b"\n--" + boundary.rstrip().encode("latin-1", "replace")
    if not boundary or len(mark) > 250:
        defects["no-boundary"] = None
        return None
    pieces, start = list[bytes](), -1
    for at, after, last in _marks(body, mark):
        if start >= 0:
            pieces.append(_before(body, start, at))
        start = after
        if last or len(pieces) > PARTS:
            return pieces
    if start < 0:
        defects["boundary-missing"] = None
        return None
    defects["not-closed"] = None
    return [*pieces, body[start:]]


def _marks(body: bytes, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield the boundary lines: where each begins, what comes after, whether it is the last."""
    at = 0 if body.startswith(mark[1:]) else body.find(mark) + 1 or -1
    for _ in range(10 * PARTS):  # lines that only look like one cost time as well
        if at < 0:
            return
        end = at + len(mark) - 1
        after = body.find(b"\n", end, end + 80) + 1 or min(len(body), end + 80)
        if (tail := body[end:after].rstrip()) in {b"", b"--"}:
            yield at, after, bool(tail)
        at = body.find(mark, after - 1) + 1 or -1


def _before(body: bytes, start: int, at: int) -> bytes:
    """Return a piece without the line end that belongs to the boundary after it."""
    end = at - 1 - (body[at - 2 : at] == b"\r\n")
    return body[start : max(start, end)]


def _transferred(fields: Headers, body: bytes) -> bytes:
    """Return an enclosed message; some encode it, against RFC 2046 section 5.2.1."""
    encoding = fields.get("content-transfer-encoding").strip().lower()
    return Part("", {}, "", "", encoding, body, enclosed=True).content()


def _until_junk(block: bytes) -> tuple[list[tuple[bytes, bytes]], int]:
    """Read fields up to the first line that is none; return them and its place."""
    fields, at = list[tuple[bytes, bytes]](), 0
    while (found := _FIELD.match(block, at)) and len(fields) <= HEADERS:
        fields.append((found[1], found[2]))
        at = found.end()
    return fields, at


def _field(name: bytes, value: bytes, defects: dict[str, None]) -> tuple[str, str]:
    if len(value) > FIELD:
        defects["field-cut"] = None
        value = value[:FIELD]
    text = value.decode("latin-1")
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    return name.decode("latin-1").lower(), text.strip()


def _unquoted(value: str) -> str:
    value = value.strip()
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value.strip('"'))
    return value


def _collapsed(value: str | tuple[str | None, str | None, str]) -> str:
    """Read an RFC 2231 value: the octets stand in latin-1 behind charset and language."""
    if isinstance(value, str):
        return email.utils.unquote(value)
    charset, _, text = value
    return headers.text(email.utils.unquote(text).encode("latin-1", "replace"), charset or "")[
        0
    ]


def _base64(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:  # the end is missing: take whole groups of four
        clean = body.partition(b"=")[0].translate(None, _NOT_BASE64)
        return binascii.a2b_base64(clean[: len(clean) & ~3])


def _uu(body: bytes) -> bytes:
    _, _, rest = body.partition(b"begin ")
    decoded = bytearray()
    for line in rest.splitlines()[1:]:
        if line.startswith(b"end"):
            break
        try:
            decoded += binascii.a2b_uu(line)
        except binascii.Error:
            continue
    return bytes(decoded)
