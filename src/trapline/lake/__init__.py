"""The lake: the journal's entries as Parquet, and what was derived from them, for questions.

Everything in here can be deleted and made again from the journal.  Files are immutable and
durable before the catalog names them; DuckDB lives in memory only, so any number of
processes ask, catch up and compact at once.  Must not be in here: what a question means.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import duckdb
import msgspec

from trapline.errors import TraplineError
from trapline.journal import Position, Positions, listing, walk
from trapline.journal.frames import Frame
from trapline.journal.positions import NOTHING, behind
from trapline.journal.segments import Segment, sync_directory
from trapline.lake import tables
from trapline.lake.catalog import Catalog, File

BATCH: Final = 50_000  # entries of one transaction,
BATCH_OCTETS: Final = 32 * 2**20  # or so many octets of JSON
GRACE: Final = 600.0  # seconds that a file outlives its replacement, for queries under way
SMALL: Final = 1_000_000  # rows; files of fewer are put together
# Measured: a quarter less CPU than the defaults, 4 % more octets.
_PARQUET: Final = (
    "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000"
)
_TRIES: Final = 5  # of a query whose files vanished
_MEMORY: Final = "1GB"
_THREADS: Final = min(4, os.cpu_count() or 1)

Row = tuple[Any, ...]


class Lake:
    """A lake in a directory; one object a thread, any number of processes."""

    def __init__(self, directory: Path, *, now: Callable[[], int] = time.time_ns) -> None:
        """Open it, or make an empty one."""
        self._directory, self._now = directory.absolute(), now
        (self._directory / "work").mkdir(parents=True, exist_ok=True)
        self._catalog = Catalog(self._directory, tables.FORMAT)
        self._engine: Any = duckdb.connect(
            config={
                # A sensor does not phone out, not even for its own tools.
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "threads": str(_THREADS),
                "memory_limit": _MEMORY,
                "temp_directory": str(self._directory / "work"),
            }
        )
        self._engine.execute("SET preserve_insertion_order = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._engine.close()
        self._catalog.close()

    def is_gone(self) -> bool:
        """Tell whether somebody deleted the lake's files under us."""
        return self._catalog.is_gone() or not (self._directory / "work").is_dir()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Ask DuckDB; ``entries`` and ``facts`` are all rows committed up to now.

        Raises:
            TraplineError: a file cannot be read.
        """
        for left in reversed(range(_TRIES)):
            try:
                self._look()
                rows: list[Row] = self._engine.execute(sql, list(parameters)).fetchall()
            except (duckdb.IOException, duckdb.InvalidInputException) as trouble:
                # A compaction may have taken a file away since the list was made.
                if not left:
                    what = "delete it, and it is filled again from the journal"
                    raise TraplineError(f"{self._directory}: {trouble}; {what}") from None
            else:
                return rows
        raise AssertionError("unreachable")

    def _look(self) -> None:
        """Let the views show what the catalog holds now."""
        for table in tables.SCHEMAS:
            paths = [str(self._directory / file.path) for file in self._catalog.files(table)]
            self._engine.execute(
                f"CREATE OR REPLACE TEMP VIEW {table} AS {tables.view(table, paths)}"
            )

    def positions(self, table: str = "entries") -> Positions:
        """Return how far a table has come in the journal."""
        return self._catalog.positions(table)

    def committed(self) -> Positions:
        """Return how far all tables have come: below that, the journal may be thinned."""
        first, *others = (self._catalog.positions(table) for table in tables.SCHEMAS)
        return {
            writer: min((position, *(x.get(writer, NOTHING) for x in others)), key=_order)
            for writer, position in first.items()
        }

    # -- taking in ---------------------------------------------------------------------

    def catch_up(self, journal: Path, limit: int | None = None) -> int:
        """Take what is new in the journal; return how many entries were taken."""
        taken, expected = 0, self._catalog.positions("entries")
        # The next batch is read while DuckDB, which needs no GIL, stores this one.
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(_gather, journal, expected, _wanted(limit, 0))
            while (batch := ahead.result()).entries:
                after = expected | batch.positions
                wanted = _wanted(limit, taken + batch.entries)
                ahead = reader.submit(_gather, journal, after, wanted)
                if self._append("entries", batch.lines, batch.positions, expected):
                    taken, expected = taken + batch.entries, after
                else:  # somebody else took them in; look again
                    expected = self._catalog.positions("entries")
                    ahead = reader.submit(_gather, journal, expected, _wanted(limit, taken))
        return taken

    def append(
        self,
        table: str,
        rows: Iterable[msgspec.Struct],
        positions: Mapping[str, Position],
        expected: Mapping[str, Position],
    ) -> bool:
        """Add rows derived from the journal up to ``positions``, exactly once.

        Args:
            table: a derived table, ``facts``.
            rows: structs of the table's kind.
            positions: of the last entry each writer's rows were made from.
            expected: what ``positions(table)`` was when the work began.

        Returns:
            Whether they were taken; if not, somebody else has come further meanwhile.
        """
        lines = b"".join([msgspec.json.encode(row) + b"\n" for row in rows])
        return self._append(table, lines, positions, expected)

    def _append(
        self,
        table: str,
        lines: bytes,
        positions: Mapping[str, Position],
        expected: Mapping[str, Position],
    ) -> bool:
        files = self._store(table, lines) if lines else []
        if self._catalog.take_in(table, files, positions, expected):
            return True
        self._remove(file.path for file in files)
        return False

    def _store(self, table: str, lines: bytes) -> list[File]:
        """Write JSON lines as Parquet, a file a day where the table is divided by days."""
        source = self._directory / "work" / f"{uuid.uuid4().hex}.ndjson"
        try:
            source.write_bytes(lines)
            if table == "entries":
                select = tables.entries_from(str(source))
            else:
                select = tables.rows_from(table, str(source))
            self._engine.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {select}")
        finally:
            source.unlink(missing_ok=True)
        files = [self._copy(table, day, where) for day, where in self._days(table)]
        self._engine.execute("DROP TABLE batch")
        self._settle(files)
        return files

    def _days(self, table: str) -> list[tuple[str, str]]:
        """Return the days of the batch (of a table so divided) and what selects them."""
        if table != "entries":
            return [("", "SELECT * FROM batch")]
        return [
            (time.strftime("%Y-%m-%d", time.gmtime(day * 86_400)), tables.of_day(day))
            for (day,) in self._engine.execute(tables.DAYS).fetchall()
        ]

    def _copy(self, table: str, day: str, select: str) -> File:
        """Write one Parquet file, not yet durable."""
        folder = Path(table) / f"day={day}" if day else Path(table)
        path = folder / f"{uuid.uuid4().hex}.parquet"
        (self._directory / folder).mkdir(parents=True, exist_ok=True)
        target = tables.literal(str(self._directory / path))
        (rows,) = self._engine.execute(f"COPY ({select}) TO {target} ({_PARQUET})").fetchone()
        octets = (self._directory / path).stat().st_size
        return File(str(path), table, day, rows, octets)

    def _settle(self, files: Iterable[File]) -> None:
        """Make files durable with their names: COPY does not."""
        folders = {self._directory}
        for file in files:
            path = self._directory / file.path
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            folders |= {path.parent, path.parent.parent}
        for folder in folders:
            sync_directory(folder)

    # -- keeping house -----------------------------------------------------------------

    def compact(self) -> int:
        """Put small files of the same day together; return how many went into others.

        Answers do not change; queries under way keep their files for ``GRACE`` seconds.
        """
        gone = 0
        for table in tables.SCHEMAS:
            days: dict[str, list[File]] = {}
            for file in self._catalog.files(table):
                if file.rows < SMALL:
                    days.setdefault(file.day, []).append(file)
            for day, files in days.items():
                gone += self._merge(table, day, files)
        self._sweep()
        return gone

    def _merge(self, table: str, day: str, files: list[File]) -> int:
        if len(files) < 2:
            return 0
        paths = [str(self._directory / file.path) for file in files]
        order = ' ORDER BY "at"' if table == "entries" else ""
        try:
            merged = self._copy(table, day, tables.view(table, paths) + order)
        except duckdb.IOException:
            return 0  # another process was faster, and its grace is over
        self._settle([merged])
        if self._catalog.replace(files, [merged], self._now()):
            return len(files)
        self._remove([merged.path])
        return 0

    def _sweep(self) -> None:
        """Remove files whose grace is over, and those no catalog ever named."""
        over = self._now() - int(GRACE * 1e9)
        dropped = self._catalog.dropped(over)
        self._remove(dropped)
        self._catalog.forget(dropped)
        known = self._catalog.known()
        for path in (*self._directory.rglob("*.parquet"), *self._directory.rglob("*.ndjson")):
            with suppress(FileNotFoundError):
                stray = str(path.relative_to(self._directory)) not in known
                if stray and path.stat().st_mtime_ns < over:
                    path.unlink()

    def _remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            (self._directory / path).unlink(missing_ok=True)


class _Batch(NamedTuple):
    """Records as JSON lines with ids, and where they end."""

    lines: bytes
    positions: Positions
    entries: int


def _wanted(limit: int | None, taken: int) -> int:
    """Return how many entries the next batch may have."""
    return BATCH if limit is None else min(BATCH, limit - taken)


def _gather(journal: Path, since: Mapping[str, Position], limit: int) -> _Batch:
    """Read a batch behind a position, one writer after the other."""
    pieces: list[bytes] = []
    positions: Positions = {}
    octets = count = 0
    for writer, numbers in listing(journal).items():
        last: tuple[Segment, Frame] | None = None
        start, name = since.get(writer, NOTHING), writer.encode()
        for segment, frame in walk(journal, writer, numbers, start, settled=True):
            if count >= limit or octets >= BATCH_OCTETS:
                break
            text, last = frame.text, (segment, frame)
            pieces += (
                b'{"id":"%b-%d-%d","record":' % (name, segment.number, frame.ordinal),
                text,
                b"}\n",
            )
            octets += len(text)
            count += 1
        if last:
            positions[writer] = behind(*last)
    return _Batch(b"".join(pieces), positions, count)


def _order(position: Position) -> tuple[int, int]:
    return position.segment, position.ordinal
