"""Files: replace a file whole, durably, or not at all; hold one, so that others keep off.

Must not be in here: what is in the file, and who is told about it.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HOLD: Final = 1.0  # seconds that a lock is asked for: who only looks holds it for a moment


def read(path: Path) -> bytes | None:
    """Return the file as it is; None where there is none to read."""
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def write(path: Path, octets: bytes, mode: int = 0o644) -> None:
    """Replace a file atomically and durably; where there is one, mode and owner stay."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as beside:
            beside.write(octets)
            try:
                was = path.stat()
                os.fchown(beside.fileno(), was.st_uid, was.st_gid)
                mode = was.st_mode & 0o7777
            except FileNotFoundError:
                pass  # a new file: the mode asked for
            os.fchmod(beside.fileno(), mode)
            beside.flush()
            os.fsync(beside.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a file, and yield whether it could be had; the kernel lets go of it if we die."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        until = time.monotonic() + HOLD
        while not (ours := _locked(handle)) and time.monotonic() < until:
            time.sleep(0.02)
        yield ours
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Tell whether another process holds a file."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
