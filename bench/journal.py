"""What keeping a message costs: the journal against SQLite (WAL, synchronous=FULL).

Both are told of the same messages in the same batches and both have them on disk when a
batch ends (group commit).  CPU is that of this process, user and system.
"""

import argparse
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from trapline import journal
from trapline.events import MailOffered, Record, Stamp

BATCHES: Final = (1, 10, 50)  # messages that come while the last commit runs
SIZES: Final = (2_048, 20_480)
STAMP: Final = Stamp(
    at=1_763_899_200_000_000_000,
    sensor="relay",
    session="2Fh31xqPzT",
    peer="192.0.2.7",
    port=40000,
    local="192.0.2.25:25",
)
Commit = Callable[[list[tuple[MailOffered, bytes]]], None]


def mail(body: bytes) -> MailOffered:
    """Return the event of a message as a trap records it."""
    return MailOffered(
        sender="offers@sender.example",
        recipients=("somebody@recipient.example",),
        content=hashlib.sha256(body).hexdigest(),
        size=len(body),
        kept=len(body),
        helo="sender.example",
        answer="250 2.0.0 Ok: queued as 4F2kXq1Zz",
    )


def in_journal(directory: Path) -> tuple[Commit, Callable[[], None]]:
    """Return what commits a batch to a journal, and what closes it."""
    hand = journal.Writer(directory / "journal", "0", reserve_octets=0)

    def commit(batch: list[tuple[MailOffered, bytes]]) -> None:
        for event, body in batch:
            hand.append(STAMP, event, body)
        hand.commit()

    return commit, hand.close


def in_sqlite(directory: Path) -> tuple[Commit, Callable[[], None]]:
    """Return what commits a batch to SQLite, and what closes it."""
    database = sqlite3.connect(directory / "journal.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY, record BLOB, raw BLOB)")
    encode = msgspec.json.Encoder().encode

    def commit(batch: list[tuple[MailOffered, bytes]]) -> None:
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO entries (record, raw) VALUES (?, ?)",
            [(encode(Record(stamp=STAMP, event=event)), body) for event, body in batch],
        )
        database.execute("COMMIT")

    return commit, database.close


def measure(
    store: Callable[[Path], tuple[Commit, Callable[[], None]]],
    place: Path,
    batch: list[tuple[MailOffered, bytes]],
    seconds: float,
) -> tuple[float, float]:
    """Return messages a second and microseconds of CPU a message."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        commit, close = store(Path(name))
        count, cpu, start = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - start < seconds:
            commit(batch)
            count += len(batch)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        close()
    return count / wall, cpu / count * 1e6


def append_alone(place: Path, batch: list[tuple[MailOffered, bytes]]) -> float:
    """Return microseconds of CPU for an append with JSON, checksums and chain, no disk."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        hand = journal.Writer(Path(name), "0", reserve_octets=0)
        hand._write = lambda vectors, octets: None  # type: ignore[method-assign]  # noqa: ARG005, SLF001
        start, count = time.process_time(), 0
        while (spent := time.process_time() - start) < 0.5:
            for event, body in batch:
                hand.append(STAMP, event, body)
            hand.commit()
            count += len(batch)
        hand.close()
    return spent / count * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    options = parser.parse_args()
    body = (b"From: offers\r\n" + b"x" * 62) * 300
    alone = append_alone(options.place, [(mail(body[:2048]), body[:2048])] * 50)
    print(f"append of 2 KB, JSON + CRC + chain, no disk: {alone:.1f} us CPU\n")
    print("octets  batch      journal             SQLite WAL FULL     CPU ratio")
    for size in SIZES:
        for count in BATCHES:
            batch = [(mail(body[:size]), body[:size])] * count
            ours, theirs = (
                measure(store, options.place, batch, options.seconds)
                for store in (in_journal, in_sqlite)
            )
            print(
                f"{size:6d} {count:6d} {ours[0]:8.0f}/s {ours[1]:6.1f} us "
                f"{theirs[0]:8.0f}/s {theirs[1]:6.1f} us {ours[1] / theirs[1]:9.2f}"
            )


if __name__ == "__main__":
    main()
