"""Genuine: read the operator's own mail archives and delivery logs, for trials.

What was read is remembered under the state directory, file by file, so that a command
answers at once; the memory may be deleted.  A configured source that cannot be read is an
error, never an empty one: a trial on less mail than the operator named would acquit too
much.

Must not be in here: what a message or a log line says (``analysis/``).
"""

import glob
import gzip
import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from trapline import addresses, files
from trapline.addresses import Network
from trapline.analysis import archive, deliverylog
from trapline.analysis.trial import Allow, Genuine, Item, acquainted
from trapline.config import Config, networks
from trapline.errors import ConfigError
from trapline.safe import text as safe

FORM: Final = 1  # of the memory; another one is read anew
_UNWANTED: Final = frozenset({"junk", "spam", "trash", "tmp", "deleted items", "quarantine"})


class _File(msgspec.Struct, array_like=True):
    """What one file gave, and what it looked like then."""

    size: int
    changed: int  # ns
    items: list[Item]
    correspondents: list[str]
    note: str = ""  # what was not understood


class _Memory(msgspec.Struct):
    """What one configured source gave."""

    form: int = FORM
    trusted: tuple[str, ...] = ()
    files: dict[str, _File] = {}


class Library(msgspec.Struct, frozen=True):
    """All genuine mail, ready for trials, and what there is to say about reading it."""

    genuine: Genuine
    notes: tuple[str, ...]  # safe to print
    look: str  # the same as long as no file changes


def library(config: Config, state: Path) -> Library:
    """Read every configured source, or remember it.

    Raises:
        ConfigError: a source is not there or cannot be read.
    """
    trusted = networks("genuine.trusted", config.genuine.trusted)
    survey = _survey(config)
    found = [_read(source, config, state, trusted) for source in survey]
    every = [one for memory in found for one in memory.files.values()]
    known = acquainted(to for one in every for to in one.correspondents)
    items = (item for one in every for item in one.items)
    notes = (f"{path}: {one.note}" for m in found for path, one in m.files.items() if one.note)
    return Library(
        Genuine(items, _allow(config, trusted, known)),
        tuple(safe(note, 400) for note in notes),
        _digest(survey),
    )


def look(config: Config) -> str:
    """Return a digest of what the configured files look like, without reading them."""
    return _digest(_survey(config))


class _Source(msgspec.Struct, frozen=True):
    """One configured source, and its files as they look now: size, time of change."""

    where: str  # "genuine.mail[0]"
    text: str
    files: dict[str, tuple[int, int]]


def _survey(config: Config) -> list[_Source]:
    return [
        _Source(where, text, {path: _stat(where, path) for path in _files(where, text)})
        for name in ("mail", "logs")
        for at, text in enumerate(getattr(config.genuine, name))
        for where in (f"genuine.{name}[{at}]",)
    ]


def _digest(survey: list[_Source]) -> str:
    return hashlib.sha256(msgspec.json.encode(survey)).hexdigest()


def _read(source: _Source, config: Config, state: Path, trusted: Sequence[Network]) -> _Memory:
    """Return what a source gives, reading only the files that have changed."""
    log = source.where.startswith("genuine.logs")
    key = hashlib.sha256(f"{log}{source.text}".encode()).hexdigest()[:16]
    kept = state / "genuine" / f"{key}.msgpack"
    old, new = _remembered(kept, config.genuine.trusted), _Memory(FORM, config.genuine.trusted)
    for path, (size, changed) in source.files.items():
        was = old.files.get(path)
        if was is None or (was.size, was.changed) != (size, changed):
            try:
                gave = _log(path, trusted) if log else _mail(path, source.text, trusted)
            except (OSError, EOFError) as trouble:
                want = f"readable: {path}: {trouble}"
                raise ConfigError(source.where, source.text, want) from None
            was = _File(size, changed, *gave)
        new.files[path] = was
    if new != old:
        kept.parent.mkdir(parents=True, exist_ok=True)
        files.write(kept, msgspec.msgpack.encode(new), 0o600)
    return new


def _remembered(kept: Path, trusted: tuple[str, ...]) -> _Memory:
    try:
        memory = msgspec.msgpack.decode(files.read(kept) or b"", type=_Memory)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return _Memory(trusted=trusted)
    good = memory.form == FORM and memory.trusted == trusted
    return memory if good else _Memory(trusted=trusted)


def _files(where: str, text: str) -> list[str]:
    """Return the files of a source, sorted: itself, what a pattern matches, or a folder's."""
    path = str(Path(text).expanduser())
    found = glob.glob(path) if any(mark in text for mark in "*?[") else [path]  # noqa: PTH207
    if not found or not all(map(os.path.exists, found)):
        raise ConfigError(where, text, "a file or folder that is there")
    return sorted(
        file
        for one in found
        for file in (_inside(one) if os.path.isdir(one) else [one])  # noqa: PTH112
    )


def _inside(folder: str) -> Iterator[str]:
    """Yield the files of a Maildir or a folder of messages, all levels, without the junk."""
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f.lower().strip(".") not in _UNWANTED]
        if "cur" in folders:  # a Maildir: what lies beside is the server's bookkeeping
            continue
        yield from (f"{place}/{name}" for name in names if not name.startswith("."))


def _stat(where: str, path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - of a hundred thousand, Path costs as much again
    except OSError as trouble:
        raise ConfigError(where, path, f"readable: {trouble.strerror}") from None
    return found.st_size, found.st_mtime_ns


def _mail(
    path: str, source: str, trusted: Sequence[Network]
) -> tuple[list[Item], list[str], str]:
    """Read the messages of one file."""
    items, others = list[Item](), 0
    with open(path, "rb") as file:  # noqa: PTH123
        if not os.fstat(file.fileno()).st_size:
            return [], [], ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            for at, message in enumerate(archive.messages(octets), 1):
                name = f"{path}#{at}" if octets[:5] == b"From " else path
                item = archive.item(message, name, source, trusted)
                if item is not None:
                    items.append(item)
                others += item is None
    return items, [], f"{others} without any header of mail, left out" if others else ""


def _log(path: str, trusted: Sequence[Network]) -> tuple[list[Item], list[str], str]:
    """Read one delivery log, packed or not."""
    log = deliverylog.Log(path, tuple(trusted))
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as lines:
        log.take(lines)
    return log.items, sorted(log.correspondents), log.not_understood


def _allow(config: Config, trusted: Sequence[Network], known: frozenset[str]) -> Allow:
    """Gather whom nothing may list."""
    hosts = {host: addresses.network(host) for host in config.allow.hosts}
    named = (host for host, net in hosts.items() if net is None)
    return Allow(
        networks=(
            *networks("allow.networks", config.allow.networks),
            *trusted,
            *(net for net in hosts.values() if net is not None),
        ),
        domains=tuple(name.lower().strip(".@") for name in (*config.allow.domains, *named)),
        correspondents=known,
        rehearsal=networks("court.rehearsal_networks", config.court.rehearsal_networks),
    )
