"""Hold what a persona said against what the real server said, octet by octet.

Only what cannot be the same twice is masked: queue ids and dates.  Code, text, lines of a
reply, line ends and who closes when must all be equal.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from tests.fidelity.play import Transcript
from tests.fidelity.script import Dialogue, Step

MASKS: Final[tuple[tuple[re.Pattern[bytes], bytes], ...]] = (
    (re.compile(rb"334 (?:[A-Za-z0-9+/]{4}){7,}[A-Za-z0-9+/=]*"), b"334 <challenge>"),
    (re.compile(rb"queued as [0-9A-Za-z]{8,}"), b"queued as <id>"),
    (re.compile(rb"id=[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b"), b"id=<id>"),
    (re.compile(rb"(2\.0\.0 )[0-9A-Za-x]{8}\d{6,7}( Message accepted)"), rb"\1<id>\2"),
    (
        re.compile(
            rb"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT)"
        ),
        b"<date>",
    ),
)


class Row(msgspec.Struct, frozen=True):
    """One answer of both, after masking."""

    said: str  # by the client
    truth: bytes
    persona: bytes

    @property
    def same(self) -> bool:
        """Tell whether a stranger would see no difference."""
        return self.truth == self.persona


def mask(heard: bytes) -> bytes:
    """Put names in the place of what differs from one run to the next."""
    for pattern, name in MASKS:
        heard = pattern.sub(name, heard)
    return heard


def rows(dialogue: Dialogue, truth: Transcript, persona: Transcript) -> list[Row]:
    """Pair the answers; the last row is the end of the connection."""
    steps = dialogue.steps
    said = [] if steps[0].how == "early" else ["(connects)"]
    said += [_said(step) for step in steps]
    return [
        *(
            Row(what, mask(one), mask(other))
            for what, one, other in zip(said, truth.heard, persona.heard, strict=True)
        ),
        Row("(listens)", _end(truth), _end(persona)),
    ]


def score(compared: Iterable[Row]) -> tuple[int, int]:
    """Return (rows that are the same, all rows)."""
    same = [row.same for row in compared]
    return sum(same), len(same)


def diff(dialogue: Dialogue, compared: Iterable[Row]) -> str:
    """Show a dialogue up to its first difference, readable and safe to print."""
    lines = [f"= {dialogue.name}"]
    for row in compared:
        lines.append(f"  C: {row.said}")
        if row.same:
            lines += [f"  S: {line}" for line in _shown(row.truth)]
            continue
        lines += [f"- S: {line}" for line in _shown(row.truth)]
        lines += [f"+ S: {line}" for line in _shown(row.persona)]
        break
    return "\n".join(lines)


def _end(transcript: Transcript) -> bytes:
    return b"(closes)" if transcript.closed else b"(waits)"


def _said(step: Step) -> str:
    if step.how in ("tls", "wait", "end"):
        return f"({step.how})"
    shown = ascii(step.octets)[2:-1]
    if len(shown) > 300:
        shown = f"{shown[:200]} ... {shown[-60:]} ({len(step.octets)} octets)"
    return f"({step.how}) {shown}" if step.how != "send" else shown


def _shown(heard: bytes) -> list[str]:
    lines = [ascii(line)[2:-1] for line in heard.splitlines(keepends=True)]
    return [line.removesuffix("\\r\\n") for line in lines] or ["(nothing)"]
