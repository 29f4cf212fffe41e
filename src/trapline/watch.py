"""Watch: the wheel that reads the journal, judges, tries and publishes, turn after turn.

All it knows it can make again from the journal and the configuration.  Several wheels may
run at once: they take turns, and come to the same.

Must not be in here: what is evidence, who is listed, how a list looks (the rooms below).
"""

import fcntl
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec

from trapline import genuine, identity, journal, scanner
from trapline.analysis import trial
from trapline.analysis.court import Verdicts
from trapline.analysis.fingerprint import fingerprint
from trapline.config import Config
from trapline.deliver import Delivery, deliver
from trapline.digest import Digest
from trapline.errors import JournalError, NotKept, TraplineError
from trapline.events import Event, ListDelivered, Stamp
from trapline.genuine import Library
from trapline.lake import Lake
from trapline.safe import text as safe
from trapline.standing import Standing

SECOND: Final = 1_000_000_000  # ns
WATERMARK: Final = 2 * SECOND  # how much later than others a writer may reach the disk
HOUR: Final = 3600 * SECOND  # what lists with an end of their own are rounded to
LOOK: Final = 60 * SECOND  # between two looks at the genuine mail
HOUSE: Final = 300 * SECOND  # between two looks at the quota
PORTION: Final = 20_000  # entries or messages of one turn, so that a stop is not far
RETRY: Final = 60 * SECOND  # after a delivery that failed
SHARE: Final = 20  # whatever is costly may take a twentieth of the time
_NAMES: Final = ("watch", "watch_2", "watch_3")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn of the wheel brought."""

    taken: int = 0  # entries that were new
    behind: bool = False  # there is more to take before anything may be published
    waiting: int = 0  # entries younger than the watermark
    verdicts: Verdicts | None = None  # None: the court did not sit, the last ones hold
    news: bool = False  # somebody else is listed, or refused, than before
    tried_on: int = 0  # genuine items there are
    deliveries: tuple[Delivery, ...] = ()
    notes: tuple[str, ...] = ()  # for the operator; safe to print


class Wheel:
    """Everything that lasts from turn to turn."""

    def __init__(self, config: Config, home: Path, clock: Callable[[], int]) -> None:
        """Open the lake; ``clock`` (ns) only tells how long things take."""
        self._config, self._home, self._clock = config, home, clock
        self._journal, self._state = home / "journal", home / "state"
        self._state.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._open_lake()
        self._library: Library | None = None
        self._standing: Standing | None = None
        self._stood_on: Library | None = None  # when the standing was begun
        self._writer: journal.Writer | None = None
        self._due = dict.fromkeys(("look", "replay", "save", "house"), 0)
        self._sat: tuple[object, ...] = ()
        self._said: tuple[set[object], set[object]] = (set(), set())
        self._ends = 0  # when the first of the present listings ends
        self._settled: dict[int, str] = {}  # by target: the content that was proven there
        self._failed: dict[int, int] = {}  # by target: when it failed
        self._told: dict[int, tuple[str, str]] = {}  # by target: what was recorded last

    def _open_lake(self) -> None:
        self._lake = Lake(self._home / "lake")
        scan = functools.partial(scanner.infected, self._config.clamd)
        names = (identity.load(self._home, self._config.install.host).host,)
        self._digest = Digest(self._journal, self._lake, names, scan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Save where everybody stands, and let go of everything."""
        with self._alone():
            if self._standing is not None:
                self._standing.save(snapshot(self._home))
        if self._writer is not None:
            self._writer.close()
        self._lake.close()

    def turn(self, now: int) -> Turn:
        """Read what is new, judge it, and bring what is published up to date.

        Raises:
            TraplineError: this turn came to nothing; what is published stays as it is.
        """
        with self._alone():
            if self._lake.is_gone():  # it may be deleted at any time; others saw it first
                self._lake.close()
                self._open_lake()
            self._lake.catch_up(self._journal)
            library = self._look(now)
            standing = self._stand(now, library)
            if (taken := self._take(now, standing)) >= PORTION:
                self._save(now, standing)
                return Turn(taken=taken, behind=True)
            if standing.late and now >= self._due["replay"]:
                self._replay(standing, now)
            verdicts, deliveries = self._publish(now, library, standing)
            news = verdicts is not None and self._is_news(verdicts)
            notes = [*library.notes, *self._keep_house(now, standing), *self._troubles()]
            self._save(now, standing)
            return Turn(
                taken=taken,
                waiting=len(standing.waiting()),
                verdicts=verdicts,
                news=news,
                tried_on=len(library.genuine.items),
                deliveries=deliveries,
                notes=tuple(notes),
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other wheels to end their turn."""
        self._state.mkdir(mode=0o750, exist_ok=True)  # it may be deleted at any time
        handle = os.open(self._state / "watch.lock", os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # -- judging -------------------------------------------------------------------------

    def _look(self, now: int) -> Library:
        """Return the genuine mail, read again where it has changed."""
        if self._library is None or now >= self._due["look"]:
            with self._costly("look", now, LOOK):
                if self._library is None or genuine.look(self._config) != self._library.look:
                    self._library = genuine.library(self._config, self._state)
        return self._library

    def _stand(self, now: int, library: Library) -> Standing:
        """Return the docket and court, made anew where the settings behind them changed."""
        if self._standing is not None and library is self._stood_on:
            return self._standing
        fresh = Standing(self._config, self._journal, library.genuine.allow.correspondents)
        if self._standing is None:
            fresh.load(snapshot(self._home))
        elif fresh.key == self._standing.key:
            fresh = self._standing
        elif now < self._due["replay"]:
            return self._standing
        self._standing, self._stood_on = fresh, library
        return fresh

    def _take(self, now: int, standing: Standing) -> int:
        """Read and fold a portion of what is new."""
        if self._digest.catch_up(PORTION) >= PORTION:
            return PORTION  # what is folded without its facts has to be read twice
        until = now - WATERMARK
        return standing.catch_up(until, self._digest.facts, self._digest.hold, PORTION)

    def _replay(self, standing: Standing, now: int) -> None:
        """Fold the whole journal again, in order."""
        with self._costly("replay", now, 0):
            standing.rewind()
            standing.catch_up(now - WATERMARK, self._digest.facts, self._digest.hold)
            standing.late = False

    # -- publishing ----------------------------------------------------------------------

    def _publish(
        self, now: int, library: Library, standing: Standing
    ) -> tuple[Verdicts | None, tuple[Delivery, ...]]:
        """Let the court sit if anything changed, and deliver what it says."""
        sat = (standing.folded, id(standing), id(library), now // HOUR)
        failed = any(now >= at + RETRY for at in self._failed.values())
        if sat == self._sat and now < self._ends and not failed:
            return None, ()
        verdicts = standing.court.sit(lambda s: trial.hold(s, library.genuine), now)
        self._sat = sat
        self._ends = min((x.until for x in verdicts.listings if x.until), default=2**63)
        return verdicts, tuple(self._deliver(now, verdicts))

    def _is_news(self, verdicts: Verdicts) -> bool:
        before, self._said = (
            self._said,
            (
                {(x.indicator, x.case, x.times) for x in verdicts.listings},
                {(t.suspect.indicator, t.finding) for t in verdicts.refused},
            ),
        )
        return before != self._said

    def _deliver(self, now: int, verdicts: Verdicts) -> Iterator[Delivery]:
        dry = self._config.court.publish != "live"
        for at, target in enumerate(self._config.publish):
            if at in self._failed and now < self._failed[at] + RETRY:
                continue
            settings = self._config.settings.get(f"publish[{at}]")
            moment = now // HOUR * HOUR  # so that a list does not differ every second
            done = deliver(
                target, settings, verdicts.listings, moment,
                dry_run=dry, settled=at in self._settled,
            )  # fmt: skip
            if done.trouble:
                self._failed[at] = now
                self._settled.pop(at, None)
            else:
                self._failed.pop(at, None)
                self._settled[at] = done.content
            if self._tell(now, at, done):
                yield done

    def _tell(self, now: int, at: int, done: Delivery) -> bool:
        """Record a delivery that is news; tell whether it is."""
        news = (done.content, done.trouble)
        if self._told.get(at) == news or not (done.changed or done.trouble):
            return False
        self._told[at] = news
        event = ListDelivered(
            format=done.format,
            path=done.path,
            listings=done.listings,
            content=done.content,
            dry_run=done.dry_run,
            trouble=done.trouble,
        )
        self._record(now, event)
        return True

    # -- keeping house -------------------------------------------------------------------

    def _keep_house(self, now: int, standing: Standing) -> Iterator[str]:
        """Keep the journal within its quota and the lake in few files."""
        if now < self._due["house"]:
            return
        with self._costly("house", now, HOUSE):
            if self._over_quota(now):
                yield from self._relieve(now, standing)
            self._lake.compact()

    def _over_quota(self, now: int) -> bool:
        stats = [path.stat() for path in self._journal.glob("*.seg")]
        kept = self._config.journal
        oldest = min((s.st_mtime_ns for s in stats), default=now)
        return (
            sum(s.st_size for s in stats) > kept.quota_gib * 2**30
            or oldest < now - kept.keep_days * 24 * HOUR
        )

    def _relieve(self, now: int, standing: Standing) -> Iterator[str]:
        kept = self._config.journal
        relief = journal.enforce(
            self._journal,
            quota_octets=int(kept.quota_gib * 2**30),
            keep_days=kept.keep_days,
            keep_bodies=kept.keep_bodies,
            fingerprint=fingerprint,
            below=self._lake.committed(),
            writer=self._opened(),
            now=now,
        )
        if relief.segments:
            standing.late = True  # what is gone is no evidence any more
        if relief.segments or relief.bodies:
            yield (
                f"quota: gave up {relief.segments} segments and {relief.bodies} bodies,"
                f" {relief.freed // 2**20} MiB"
            )

    def _save(self, now: int, standing: Standing) -> None:
        if now >= self._due["save"]:
            with self._costly("save", now, 5 * SECOND):
                standing.save(snapshot(self._home))

    def _troubles(self) -> list[str]:
        found = [safe(trouble, 400) for trouble in dict.fromkeys(self._digest.troubles)]
        self._digest.troubles.clear()
        return found

    @contextmanager
    def _costly(self, what: str, now: int, least: int) -> Iterator[None]:
        """Do something, and not again before it has taken its share of the time."""
        began = self._clock()
        yield
        self._due[what] = now + max(least, SHARE * (self._clock() - began))

    # -- the journal ---------------------------------------------------------------------

    def _record(self, now: int, event: Event) -> None:
        try:
            writer = self._opened()
            writer.append(Stamp(at=now, sensor="watch"), event)
            writer.commit()
        except NotKept as trouble:
            raise TraplineError(f"the journal takes no record of it: {trouble}") from None

    def _opened(self) -> journal.Writer:
        """Return our writer; another wheel may hold the first name."""
        if self._writer is None:
            self._writer = open_writer(self._config, self._journal, _NAMES)
        return self._writer


def open_writer(config: Config, directory: Path, names: tuple[str, ...]) -> journal.Writer:
    """Open the journal for writing under the first name that is free.

    Raises:
        JournalError: none is, or the journal cannot be written.
    """
    for name in names:
        try:
            # What we have to say is little: the traps stop promising long before us.
            return journal.Writer(
                directory,
                name,
                segment_octets=config.journal.segment_mib * 2**20,
                reserve_octets=config.journal.reserve_mib * 2**18,
            )
        except JournalError as trouble:
            last = trouble
    raise last


def snapshot(home: Path) -> Path:
    """Return where it is kept where everybody stands; it may be deleted."""
    return home / "state" / "standing.msgpack"
