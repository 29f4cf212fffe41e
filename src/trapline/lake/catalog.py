"""The catalog: which files make up the lake, and how far each table has come.

One SQLite transaction takes new files in and moves the position by compare-and-set, so
each entry is in the lake exactly once, whoever replays, dies, or runs at the same time.
The files must be durable before.  Must not be in here: Parquet, DuckDB.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from trapline.errors import TraplineError
from trapline.journal import Position, Positions
from trapline.journal.segments import sync_directory

_PATIENCE: Final = 60.0  # seconds to wait for another process's transaction
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS lake (format TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, "table" TEXT NOT NULL, day TEXT NOT NULL,
    rows INTEGER NOT NULL, octets INTEGER NOT NULL, dropped INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
    "table" TEXT NOT NULL, writer TEXT NOT NULL, segment INTEGER NOT NULL,
    ordinal INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY ("table", writer)
) WITHOUT ROWID;
"""


class File(msgspec.Struct, frozen=True):
    """A Parquet file: ``path`` from the lake's directory on, ``day`` "" where undivided."""

    path: str
    table: str
    day: str
    rows: int
    octets: int


class Catalog:
    """The lake's catalog; one object a thread, any number of processes."""

    def __init__(self, directory: Path, layout: str) -> None:
        """Open it, or make it.

        Raises:
            TraplineError: it cannot be opened, or was made with tables of another layout.
        """
        try:
            self._open(directory, layout)
        except sqlite3.Error as trouble:
            raise TraplineError(f"{directory}: the catalog cannot be used: {trouble}") from None

    def is_gone(self) -> bool:
        """Tell whether the file that was opened is not the one of that name any more."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def _open(self, directory: Path, layout: str) -> None:
        self._path = path = directory / "catalog.sqlite"
        fresh = not path.exists()
        self._database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            for statement in _SCHEMA.split(";"):
                self._database.execute(statement)
            if not self._database.execute("SELECT count(*) FROM lake").fetchone()[0]:
                self._database.execute("INSERT INTO lake VALUES (?)", [layout])
        self._inode = path.stat().st_ino
        (found,) = self._database.execute("SELECT format FROM lake").fetchone()
        if found != layout:
            raise TraplineError(
                f"{directory} is a lake of layout {found}, not {layout}: "
                "delete it, and it is filled again from the journal"
            )
        if fresh:
            sync_directory(directory)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def files(self, table: str) -> list[File]:
        """Return the files that make up a table now."""
        rows = self._database.execute(
            'SELECT path, "table", day, rows, octets FROM files '
            'WHERE "table" = ? AND dropped IS NULL ORDER BY path',
            [table],
        )
        return [File(*row) for row in rows]

    def positions(self, table: str) -> Positions:
        """Return how far a table has come."""
        rows = self._database.execute(
            'SELECT writer, segment, ordinal, offset FROM positions WHERE "table" = ?', [table]
        )
        return {writer: Position(*rest) for writer, *rest in rows}

    def take_in(
        self,
        table: str,
        files: Iterable[File],
        positions: Mapping[str, Position],
        expected: Mapping[str, Position],
    ) -> bool:
        """Add files and move the position, unless it is not the expected one any more."""
        with self._transaction():
            if self.positions(table) != expected:
                return False
            self._insert(files)
            self._database.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)",
                [(table, name, *_fields(position)) for name, position in positions.items()],
            )
            return True

    def replace(self, old: list[File], new: Iterable[File], now: int) -> bool:
        """Put new files in the place of old ones, unless those were replaced already."""
        with self._transaction():
            marks = ", ".join("?" * len(old))
            done = self._database.execute(
                f"UPDATE files SET dropped = ? WHERE dropped IS NULL AND path IN ({marks})",  # noqa: S608 - question marks
                [now, *(file.path for file in old)],
            ).rowcount
            if done != len(old):
                self._database.execute("ROLLBACK")
                return False
            self._insert(new)
            return True

    def known(self) -> set[str]:
        """Return the paths of all files, dropped ones too."""
        return {path for (path,) in self._database.execute("SELECT path FROM files")}

    def dropped(self, before: int) -> list[str]:
        """Return the paths of files dropped before a time."""
        rows = self._database.execute("SELECT path FROM files WHERE dropped < ?", [before])
        return [path for (path,) in rows]

    def forget(self, paths: Iterable[str]) -> None:
        """Take dropped files off the list."""
        with self._transaction():
            self._database.executemany(
                "DELETE FROM files WHERE path = ? AND dropped IS NOT NULL",
                [(path,) for path in paths],
            )

    def _insert(self, files: Iterable[File]) -> None:
        self._database.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, NULL)",
            [msgspec.structs.astuple(file) for file in files],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run a transaction; whatever stops it undoes it."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        if self._database.in_transaction:
            self._database.execute("COMMIT")


def _fields(position: Position) -> tuple[int, int, int]:
    return position.segment, position.ordinal, position.offset
