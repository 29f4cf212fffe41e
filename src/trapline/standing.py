"""Standing: where everybody stands, the docket and the court folded over the journal.

Entries are folded in the order of time, behind a watermark: several writers reach the
disk each in its own time, and what came out must not depend on who was read first.  A
snapshot lets the next reader go on from there; deleted, it is made again from the
journal, with the same outcome.

Must not be in here: the clock, publishing, writing to the journal.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from trapline import addresses, files, journal, rooms
from trapline.analysis.court import Court, Rules
from trapline.analysis.evidence import Exempt
from trapline.analysis.suspects import DAY, Docket, Settings, State
from trapline.config import Config, networks
from trapline.errors import JournalError
from trapline.events import Entry, ListingWithdrawn, MailOffered
from trapline.journal import Positions
from trapline.journal.segments import Segment, segment_path
from trapline.message import Facts

FORM: Final = 1  # of the snapshot; another one is made anew
BATCH: Final = 5_000  # entries taken at once

FactsOf = Callable[[Entry], Facts | None]
Place = tuple[int, str, int, int]


class _Snapshot(msgspec.Struct, kw_only=True):
    """All that has to be remembered between two readers."""

    key: str
    positions: Positions
    created: dict[str, int]  # of the segments that the positions lie in
    waiting: list[Entry]
    place: Place
    late: bool
    state: State
    court: Court


class Standing:
    """Docket and court up to some place in the journal; see the module's docstring."""

    def __init__(self, config: Config, directory: Path, known: frozenset[str]) -> None:
        """Begin with an empty docket.

        Args:
            config: the settings that decide what is evidence and what it leads to.
            directory: the journal.
            known: whom the operator's users wrote to: never evidence.
        """
        self._journal, self.key = directory, key(config, known)
        self._exempt = _exempt(config, known)
        self._settings = _settings(config)
        self._begin(State(), Court(_rules(config)))

    def _begin(self, state: State, court: Court) -> None:
        self.docket = Docket(self._settings, self._exempt, state)
        self.court = court
        self.positions: Positions = {}
        self.late = False  # something came that belongs before what was folded
        self.folded = 0  # entries since this object was made
        self._waiting: list[Entry] = []
        self._place: Place = (0, "", 0, 0)

    def rewind(self) -> None:
        """Forget everything; the whole journal is to be taken again."""
        self._begin(State(), Court(self.court.rules))

    def take(self, limit: int = BATCH) -> int:
        """Take what is new in the journal, up to a limit; fold nothing yet."""
        tail = journal.Tail(self._journal, self.positions)
        entries = tail.poll(limit)
        self.positions = tail.positions
        self._waiting += entries
        return len(entries)

    def settle(self, until: int, facts: FactsOf) -> None:
        """Fold what waits and is older than ``until``, in the order of time."""
        ready = sorted((e for e in self._waiting if e.stamp.at < until), key=place)
        self._waiting = [e for e in self._waiting if e.stamp.at >= until]
        for entry in ready:
            here = place(entry)
            self.late = self.late or here < self._place
            self._place = max(here, self._place)
            self._fold(entry, facts)

    def waiting(self) -> tuple[Entry, ...]:
        """Return the entries that are taken and not yet folded."""
        return tuple(self._waiting)

    def catch_up(
        self,
        until: int,
        facts: FactsOf,
        hold: Callable[[Iterable[Entry]], None],
        limit: int = 2**62,
    ) -> int:
        """Take and fold what there is up to a time; return how many entries were taken.

        So many or more than ``limit`` means that there may be others: then nothing that is
        said of anybody is the last word, for a withdrawal may be among them.
        """
        taken = 0
        while taken < limit and (count := self.take()):
            taken += count
            hold(self._waiting)
            # The rest of the journal may still hold older entries of another writer, but
            # none older than the newest of a full batch, which is merged by time.
            newest = self._waiting[-1].stamp.at if count == BATCH else until
            self.settle(min(until, newest), facts)
        if taken < limit:
            self.settle(until, facts)
        return taken

    def _fold(self, entry: Entry, facts: FactsOf) -> None:
        self.folded += 1
        at, said = entry.stamp.at, None
        match entry.event:
            case ListingWithdrawn() as event:
                self.court.withdraw(event, at)
                return
            case MailOffered():
                # Without its body nobody can tell a bounce from spam: it accuses nobody.
                if (said := facts(entry)) is None:
                    return
        self.docket.take(entry, said)
        self.docket.crossings(at)
        for indicator in dict.fromkeys(self.docket.touched):
            if not self.court.cares(indicator):
                continue
            if self.docket.ripe(indicator) or self.court.running(indicator, at):
                suspect = self.docket.suspect(indicator, at)
                if suspect is not None:
                    self.court.hear(suspect)

    # -- the snapshot --------------------------------------------------------------------

    def load(self, path: Path) -> bool:
        """Go on from a snapshot, if there is one that was made under the same settings."""
        try:
            found = msgspec.msgpack.decode(files.read(path) or b"", type=_Snapshot)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return False
        if found.key != self.key or found.created != self._created(found.positions):
            return False
        self._begin(found.state, found.court)
        self.positions, self.late = found.positions, found.late
        self._waiting, self._place = found.waiting, found.place
        return True

    def save(self, path: Path) -> None:
        """Write a snapshot; the next reader goes on from here."""
        snapshot = _Snapshot(
            key=self.key,
            positions=self.positions,
            created=self._created(self.positions),
            waiting=self._waiting,
            place=self._place,
            late=self.late,
            state=self.docket.state,
            court=self.court,
        )
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        files.write(path, msgspec.msgpack.encode(snapshot), 0o640)

    def _created(self, positions: Positions) -> dict[str, int]:
        """Tell the segments apart from those of another journal under the same names."""
        created = {}
        for writer, position in positions.items():
            try:
                with Segment(segment_path(self._journal, writer, position.segment)) as segment:
                    created[writer] = segment.header.created
            except (FileNotFoundError, JournalError):
                created[writer] = 0  # dropped: what follows in the journal is another story
        return created


def place(entry: Entry) -> Place:
    """Return where an entry belongs: by time, then as its writer wrote it."""
    writer, segment, ordinal = entry.id.rsplit("-", 2)
    return entry.stamp.at, writer, int(segment), int(ordinal)


def key(config: Config, known: frozenset[str]) -> str:
    """Return a digest of all settings that the fold depends on."""
    parts = (
        FORM,
        rooms.version(),  # another version may weigh the same evidence otherwise
        msgspec.structs.replace(config.court, publish="dry-run", rehearsal_networks=()),
        config.allow,
        config.genuine.trusted,
        sorted(known),
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _settings(config: Config) -> Settings:
    return Settings(
        threshold=config.court.threshold,
        half_life_days=config.court.half_life_days,
        breadth=config.court.network_breadth,
    )


def _rules(config: Config) -> Rules:
    court = config.court
    return Rules(
        threshold=court.threshold,
        half_life=int(court.half_life_days * DAY),
        term=int(court.term_days * DAY),
        max_term=int(court.max_term_days * DAY),
        kinds=tuple(court.list),
        max_listings=court.max_listings,
    )


def _exempt(config: Config, known: frozenset[str]) -> Exempt:
    hosts = {host: addresses.network(host) for host in config.allow.hosts}
    named = (name for name, net in hosts.items() if net is None)
    return Exempt(
        networks=(
            *networks("allow.networks", config.allow.networks),
            *(net for net in hosts.values() if net is not None),
        ),
        correspondents=known
        | {name.lower().strip(".@") for name in itertools.chain(config.allow.domains, named)},
        forwarders=networks("genuine.trusted", config.genuine.trusted),
    )
