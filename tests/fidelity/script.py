r"""Dialogues as text: what a client says, in which packets, and when it stops to listen.

A file holds dialogues, each under a line ``= its name``.  Lines say:

=========  ======================================================================
``C: x``   send ``x`` CR LF, with what waits, and listen for the replies
``G: x``   the same, but let it wait: it goes out in one packet with what follows
``D: x``   a line of data: waits as well, and no reply is expected
``R: x``   send exactly ``x``, with what waits, and listen
``B: x``   send ``x`` CR LF octet by octet, then listen
``E: x``   send exactly ``x`` before listening for the greeting (first line only)
``TLS``    do a TLS handshake
``W: 0.3`` stay silent for that many seconds, then listen
``F``      say no more (close our half), then listen
=========  ======================================================================

A digit after the letter (``R2:``) is the number of replies to expect where it is not one.
That number only says how long to listen: a reply too few or too many is still seen.
``\r \n \t \0 \xHH \\`` stand for octets, ``{64*x}`` for 64 times ``x`` and
``12 * C: NOOP`` for twelve such lines.  A line that begins with ``#`` is a comment.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

HERE: Final = Path(__file__).parent / "dialogues"
_LINE: Final = re.compile(r"(?:(\d+) \* )?([CGDRBE])(\d*): ?(.*)")
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")
_TIMES: Final = re.compile(r"\{(\d+)\*([^{}]*)\}")
_NAMED: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


class Step(msgspec.Struct, frozen=True):
    """Octets to send in one go, and how many replies to listen for."""

    octets: bytes
    replies: int = 1
    how: str = "send"  # or "octets" (one by one), "early", "tls", "wait", "end"
    seconds: float = 0.0


class Dialogue(msgspec.Struct, frozen=True):
    """A client's part."""

    name: str
    steps: tuple[Step, ...]

    def commands(self) -> int:
        """Count the lines the client says."""
        return sum(max(1, step.octets.count(b"\n")) for step in self.steps)


def load_for(server: str) -> list[Dialogue]:
    """Return the dialogues for a server: those of ``auth/`` where its name ends so."""
    return load(HERE / "auth" if server.endswith("+auth") else HERE)


def load(where: Path = HERE) -> list[Dialogue]:
    """Return all dialogues of a directory, in order."""
    return [
        one for file in sorted(where.glob("*.txt")) for one in parse(file.read_text("utf-8"))
    ]


def parse(text: str) -> Iterator[Dialogue]:
    """Read the notation that the module's docstring explains.

    Raises:
        ValueError: a line is none of those, and which.
    """
    name, lines = "", list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("= "):
            if lines:
                yield Dialogue(name, tuple(_steps(lines)))
            name, lines = line[2:].strip(), []
        elif line.strip() and not line.startswith("#"):
            if not name:
                raise ValueError(f"line {number}: a dialogue begins with a line '= its name'")
            lines.append(line)
    if lines:
        yield Dialogue(name, tuple(_steps(lines)))


def octets(text: str) -> bytes:
    r"""Turn ``a\r\n{3*x}`` into octets; text beyond ASCII goes out as UTF-8."""
    text = _TIMES.sub(lambda m: m[2] * int(m[1]), text)
    parts, at = list[bytes](), 0
    for found in _ESCAPE.finditer(text):
        parts.append(text[at : found.start()].encode())
        code = chr(int(found[1], 16)) if found[1] else _NAMED[found[2]]
        parts.append(code.encode("latin-1"))
        at = found.end()
    return b"".join([*parts, text[at:].encode()])


def _steps(lines: Iterable[str]) -> Iterator[Step]:
    """Join what goes out together."""
    waiting, replies = b"", 0
    for letter, count, text in _unrolled(lines):
        if letter in ("TLS", "W", "F"):
            yield _silent(letter, text)
            continue
        end = b"" if letter in "RE" else b"\r\n"
        waiting += octets(text) + end
        replies += int(count) if count else int(letter != "D")
        if letter in "GD":
            continue
        how = {"B": "octets", "E": "early"}.get(letter, "send")
        yield Step(waiting, replies, how)
        waiting, replies = b"", 0
    if waiting:
        yield Step(waiting, replies)


def _silent(letter: str, text: str) -> Step:
    match letter:
        case "TLS":
            return Step(b"", 0, "tls")
        case "W":
            return Step(b"", 0, "wait", float(text))
        case _:
            return Step(b"", 1, "end")


def _unrolled(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for line in lines:
        word, _, rest = line.partition(":")
        if word.strip() in ("TLS", "W", "F"):
            yield word.strip(), "", rest.strip()
        elif (found := _LINE.fullmatch(line)) is None:
            raise ValueError(f"not a line of a dialogue: {line!r}")
        else:
            for _ in range(int(found[1] or 1)):
                yield found[2], found[3], found[4]
