"""Deliver: put a rendered list where the mail server or firewall reads it, and make sure.

Write beside it, fsync, rename; run the operator's reload command, never through a shell;
then read back what took effect and compare.  Where anything fails, the old file is put
back and the reload run again: a stale list is better than half a list.

Must not be in here: what is listed (``analysis/``), how it is written (``publish/``).
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from trapline import files, rooms
from trapline.config import PublishSettings
from trapline.deliver import proof
from trapline.deliver.orders import Failed, run
from trapline.listings import Listing
from trapline.safe import text as safe


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, or would have been done, with one file."""

    format: str
    path: str
    listings: int
    content: str  # SHA-256 (hex) of the rendered list
    dry_run: bool
    changed: bool  # against the file as it was
    added: tuple[str, ...]
    removed: tuple[str, ...]
    trouble: str = ""  # safe to print

    def __str__(self) -> str:
        did = "would write" if self.dry_run else "wrote" if self.changed else "keeps"
        if self.trouble:
            return f"{self.format} {safe(self.path)}: NOT DELIVERED: {self.trouble}"
        return (
            f"{self.format} {safe(self.path)}: {did} {self.listings} listings"
            f" ({len(self.added)} added, {len(self.removed)} removed)"
        )


def deliver(  # noqa: PLR0913 - what, where, when and how sure
    target: PublishSettings,
    settings: object,
    listings: Sequence[Listing],
    now: int,
    *,
    dry_run: bool,
    settled: bool = False,
) -> Delivery:
    """Bring one file up to date and prove that it took effect.

    Args:
        target: the format, the file, the commands.
        settings: the format's own settings.
        listings: what is to be listed.
        now: the moment the list is made for, in ns; the wheel rounds it.
        dry_run: change nothing, only say what would change.
        settled: an unchanged file was reloaded and proven before; leave it alone.
    """
    form = rooms.find("publish", target.kind)
    path = Path(os.path.realpath(target.path))  # a link stays a link
    job = _Job(
        form=form,
        target=target,
        path=path,
        old=files.read(path),
        new=form.render(listings, settings, now).encode("utf-8"),
        empty=form.render([], settings, now).encode("utf-8"),
        listings=listings,
    )
    before, after = _listed(form, job.old), form.carried(listings)
    done = Delivery(
        format=target.kind,
        path=target.path,
        listings=len(after),
        content=hashlib.sha256(job.new).hexdigest(),
        dry_run=dry_run,
        changed=job.new != job.old,
        added=tuple(sorted(after - before)),
        removed=tuple(sorted(before - after)),
    )
    if dry_run or (settled and not done.changed):
        return done
    trouble = _carry_out(job, done.removed)
    return msgspec.structs.replace(done, trouble=safe(trouble, 600)) if trouble else done


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be done with one file."""

    form: ModuleType
    target: PublishSettings
    path: Path
    old: bytes | None
    new: bytes
    empty: bytes
    listings: Sequence[Listing]


def _carry_out(job: _Job, removed: Sequence[str]) -> str:
    """Write, reload, read back; return what went wrong, with the old file in its place."""
    try:
        if job.new != job.old:
            files.write(job.path, job.new)
        _reload(job)
        proof.written(files.read(job.path), job.new)
        own = job.form.CHECK if job.target.reload and hasattr(job.form, "CHECK") else ()
        proof.effective(job.form, job.target.check or own, job.listings, removed)
    except (Failed, OSError) as trouble:
        return f"{trouble}{_put_back(job)}"
    return ""


def _put_back(job: _Job) -> str:
    """Restore what was there, or list nothing; return what went wrong with that."""
    if job.new == job.old:
        return ""
    try:
        files.write(job.path, job.empty if job.old is None else job.old)
        _reload(job)
    except (Failed, OSError) as trouble:
        return f"; putting the old file back: {trouble}"
    return ""


def _reload(job: _Job) -> None:
    if job.target.reload:
        run(job.target.reload)


def _listed(form: ModuleType, octets: bytes | None) -> frozenset[str]:
    """Say what a file lists; one that is not ours lists nothing we know."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found: frozenset[str] = form.listed((octets or b"").decode("utf-8"))
        return found
    return frozenset()
