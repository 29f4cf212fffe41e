"""Digest: read each captured message once, and keep what it says in the lake.

``Digest.catch_up`` is the watch's: it walks what is new in the journal, bodies and all.
``Digest.facts`` answers for single entries: from the lake, else from the journal.  Facts
depend on the message, the installation's name and the scanner, and on no other setting.

Must not be in here: what a message says (``analysis/messages.py``), whom it accuses.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from trapline import journal
from trapline.analysis import messages
from trapline.errors import JournalError, NoEntry, TraplineError
from trapline.events import Entry, MailOffered, Record
from trapline.journal import Position, Positions
from trapline.journal.positions import NOTHING, behind
from trapline.lake import Lake
from trapline.message import Facts

BATCH: Final = 2_000  # messages of one commit to the lake
LOOK_UP: Final = 5_000  # entries asked for in one question
HELD: Final = 20_000  # facts kept in memory

_record = msgspec.json.Decoder(Record).decode
Scan = Callable[[bytes], str]


def unscanned(_octets: bytes) -> str:
    """Find nothing, where no scanner is to be asked."""
    return ""


class Digest:
    """What captured messages say; one object for each lake that is open."""

    def __init__(
        self, directory: Path, lake: Lake, names: Sequence[str], scan: Scan = unscanned
    ) -> None:
        """Read for this journal and lake; ``names`` are those the traps greet with."""
        self._journal, self._lake, self._names, self._scan = directory, lake, names, scan
        self._held: dict[str, Facts | None] = {}
        self.troubles: list[str] = []  # of the scanner, until somebody reads them

    def catch_up(self, limit: int) -> int:
        """Put the facts of new messages into the lake; return how many, about ``limit``."""
        total = 0
        while total < limit:
            expected = self._lake.positions("facts")
            rows, positions = self._gather(expected)
            if not positions:
                break
            if self._lake.append("facts", rows, positions, expected):
                total += len(rows)
        return total

    def hold(self, entries: Iterable[Entry]) -> None:
        """Have the facts of some entries at hand, with few questions to the lake."""
        ids = [e.id for e in entries if isinstance(e.event, MailOffered)]
        if len(self._held) + len(ids) > HELD:
            self._held.clear()
        wanted = [name for name in ids if name not in self._held]
        for at in range(0, len(wanted), LOOK_UP):
            some = wanted[at : at + LOOK_UP]
            for row in self._lake.query(_FACTS, (some,)):
                found = msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), Facts)
                self._held[found.entry] = found

    def facts(self, entry: Entry) -> Facts | None:
        """Return what a captured message says; None where its body is gone."""
        if entry.id not in self._held:
            if len(self._held) > HELD:
                self._held.clear()
            try:
                _, octets = journal.fetch(self._journal, entry.id)
            except (NoEntry, JournalError):
                octets = None
            self._held[entry.id] = self._read(entry, octets) if octets is not None else None
        return self._held[entry.id]

    def _gather(self, since: Positions) -> tuple[list[Facts], Positions]:
        """Read a batch of new messages, each writer's in its order."""
        rows, positions = list[Facts](), dict[str, Position]()
        for writer, numbers in journal.listing(self._journal).items():
            start = since.get(writer, NOTHING)
            for segment, frame in journal.walk(
                self._journal, writer, numbers, start, settled=True
            ):
                if len(rows) >= BATCH:
                    break
                positions[writer] = behind(segment, frame)
                if not frame.raw_octets:
                    continue
                name = f"{writer}-{segment.header.segment}-{frame.ordinal}"
                if (found := self._of_frame(name, frame.text, segment.raw(frame))) is not None:
                    rows.append(found)
        return rows, positions

    def _of_frame(self, name: str, text: bytes, octets: bytes | None) -> Facts | None:
        try:
            record = _record(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        entry = Entry(id=name, stamp=record.stamp, event=record.event)
        return self._read(entry, octets) if octets is not None else None

    def _read(self, entry: Entry, octets: bytes) -> Facts | None:
        if not isinstance(entry.event, MailOffered):
            return None
        try:
            infected = self._scan(octets)
        except TraplineError as trouble:
            infected = ""
            self.troubles.append(str(trouble))
        stamp = entry.stamp
        facts = messages.facts(
            entry.id,
            entry.event,
            octets,
            stamp.peer,
            local=stamp.local,
            names=self._names,
            infected=infected,
        )
        self._held[entry.id] = facts
        return facts


_COLUMNS: Final = tuple(field.encode_name for field in msgspec.structs.fields(Facts))
_LIST: Final = ", ".join(f'"{name}"' for name in _COLUMNS)
_FACTS: Final = f"SELECT {_LIST} FROM facts WHERE entry IN (SELECT unnest(?))"  # noqa: S608
