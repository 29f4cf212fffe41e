"""Files: replace a file whole, durably, or not at all.

Must not be in here: what is in the file, and who is told about it.
"""

import contextlib
import os
import tempfile
from pathlib import Path


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
