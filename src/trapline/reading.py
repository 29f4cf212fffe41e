"""Reading: what the desk asks of the journal and the lake, brought up to date first.

Whoever asks right after something fell in gets it: the lake catches up before it answers.
Must not be in here: how answers look, verdicts, writing to the journal.
"""

import functools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from trapline import files, identity, journal
from trapline.analysis import messages, overview, stats
from trapline.config import held, home, load
from trapline.errors import JournalError, NoEntry
from trapline.events import Entry, JournalShort, MailOffered
from trapline.lake import Lake
from trapline.message import Facts, Sort
from trapline.serve import state

Row = dict[str, Any]
UNREAD: Final = 200  # messages whose facts are made on the spot where no watch has come by
EVERY: Final = 2**62  # rows: no limit
LEAST: Final = 2**16  # octets of free disk; with less the journal cannot even say so
STARTING: Final = 5 * 10**8  # ns in which all workers of one start open their listeners


@contextmanager
def lake() -> Iterator[Lake]:
    """Open the lake of this data directory, caught up with the journal."""
    with Lake(home() / "lake") as opened:
        opened.catch_up(home() / "journal")
        yield opened


def messages_of(peer: str = "", since: int = 0, limit: int = EVERY) -> list[Row]:
    """Return captured messages, oldest first, the newest ``limit`` of them."""
    with lake() as opened:
        found = opened.query(overview.MESSAGES, (peer, since, limit))
    rows = [dict(zip(overview.MESSAGE_COLUMNS, row, strict=True)) for row in reversed(found)]
    unread = [row for row in rows if row["subject"] is None][-UNREAD:]
    for row in unread:
        if (facts := facts_of(row["id"])) is not None:
            row.update(subject=facts.subject, sort=str(facts.sort), why=facts.why)
    return rows


def sessions(peer: str = "", since: int = 0, limit: int = EVERY) -> list[Row]:
    """Return sessions, oldest first, the newest ``limit`` of them."""
    with lake() as opened:
        found = opened.query(overview.SESSIONS, (peer, since, limit))
    return [dict(zip(overview.SESSION_COLUMNS, row, strict=True)) for row in reversed(found)]


def entry(name: str) -> tuple[Entry, bytes | None]:
    """Return an entry by its id, and its raw octets.

    Raises:
        NoEntry: there is none.
    """
    return journal.fetch(home() / "journal", name)


def entries_of_session(session: str) -> list[Entry]:
    """Return all entries of a session in order.

    Raises:
        NoEntry: there is no such session.
    """
    with lake() as opened:
        ids = [row[0] for row in opened.query(overview.OF_SESSION, (session,))]
    if not ids:
        raise NoEntry(session)
    return [entry(one)[0] for one in ids]


def facts_of(name: str) -> Facts | None:
    """Return what a captured message says; None where its body is gone."""
    try:
        found, octets = entry(name)
    except (NoEntry, JournalError):
        return None
    if octets is None or not isinstance(found.event, MailOffered):
        return None
    stamp, names = found.stamp, _names()
    return messages.facts(name, found.event, octets, stamp.peer, local=stamp.local, names=names)


@functools.cache
def _names() -> tuple[str, ...]:
    """Return the names the traps greet with."""
    return (identity.load(home(), load().install.host).host,)


def facts_of_few() -> dict[str, Facts]:
    """Return by entry what is known of messages with few recipients: possible relay tests."""
    with lake() as opened:
        rows = opened.query(stats.FEW)
    return {
        name: Facts(entry=name, subject=subject, sort=Sort(sort), clues=tuple(clues))
        for name, subject, sort, clues in rows
    }


def status() -> Row:
    """Return what there is to say about the whole: sensors, totals, disk."""
    with lake() as opened:
        totals = opened.query(overview.TOTALS)[0]
        sensors = opened.query(overview.SENSORS)
        short = opened.query(overview.LAST_SHORT)
    usage = shutil.disk_usage(_existing(home()))
    workers = [one for one in state.read(home()) if one.is_alive()]
    running = bool(workers) or files.is_held(held())  # state/ may have been deleted
    return {
        "home": str(home()),
        "running": running,
        "workers": [{"worker": one.worker, "pid": one.pid} for one in workers],
        "sensors": _sensors(sensors, running=running),
        **dict(zip(overview.TOTAL_COLUMNS, totals, strict=True)),
        "journal_octets": _octets(home() / "journal"),
        "lake_octets": _octets(home() / "lake"),
        "disk_free": usage.free,
        "disk_total": usage.total,
        "refusing": _refusing(short, sensors) or usage.free < LEAST,
    }


def _sensors(rows: Sequence[tuple[Any, ...]], *, running: bool) -> list[Row]:
    """Return where each sensor listened last; ``listening`` only while workers run.

    A sensor that listens on several addresses started on all of them in one run: they are
    of one version and configuration, and none of them twice.
    """
    newest: dict[str, tuple[str, int]] = {}
    found: dict[tuple[str, str], Row] = {}
    for name, event, at in rows:
        told = msgspec.json.decode(event)
        config, since = newest.setdefault(name, (told["config"], at))
        if told["config"] != config or since - at > STARTING:
            continue
        row = {"sensor": name, "since": at, "listening": running}
        row |= {key: told[key] for key in ("trap", "address", "persona", "version")}
        found.setdefault((name, told["address"]), row)
    return sorted(found.values(), key=lambda row: (row["sensor"], row["address"]))


def _refusing(short: Sequence[tuple[Any, ...]], sensors: Sequence[tuple[Any, ...]]) -> bool:
    """Tell whether the last word on the disk, since the last start, was that it is short."""
    started = max((at for _, _, at in sensors), default=0)
    return any(
        at >= started and msgspec.json.decode(event, type=JournalShort).refusing
        for event, at in short
    )


def _octets(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
