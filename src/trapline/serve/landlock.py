"""Landlock: where a trap process may write, what it may read, and no TCP at all.

The kernel's ABI is asked for first, and only what it knows is demanded; what it does not
know is reported, never passed over in silence.

Must not be in here: which paths (``sandbox``).

Source: linux/landlock.h; https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on all architectures
_VERSION, _PATH_BENEATH = 1, 1
EXECUTE, WRITE, READ, LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE = 1 << 4 | 1 << 5
_MAKE_DIRECTORY, _MAKE_FILE = 1 << 7, 1 << 8
_MAKE_OTHERS = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # devices, sockets, pipes, links
_REFER, _TRUNCATE, _DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_SINCE: Final = ((2, _REFER), (3, _TRUNCATE), (5, _DEVICE_CONTROL))  # ABI: right
NETWORK_SINCE, SCOPE_SINCE = 4, 6
_OF_A_FILE: Final = EXECUTE | WRITE | READ | _TRUNCATE | _DEVICE_CONTROL
_MAY_WRITE: Final = WRITE | _REMOVE | _MAKE_DIRECTORY | _MAKE_FILE | _REFER | _TRUNCATE


def abi() -> int:
    """Return the kernel's Landlock ABI; 0 where there is none."""
    return max(0, _call(_CREATE, None, 0, _VERSION))


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> str:
    """Restrict this process for ever; return "" or why it could not be done.

    Args:
        readable: files and folders that may be read (those that do not exist are skipped).
        writable: folders in which files may be made, changed and removed, and read.
    """
    version = abi()
    if not version:
        return "the kernel has no Landlock"
    known = (
        EXECUTE | WRITE | READ | LIST | _REMOVE | _MAKE_DIRECTORY | _MAKE_FILE | _MAKE_OTHERS
    )
    known |= sum(right for since, right in _SINCE if version >= since)
    attributes = struct.pack(
        "=QQQ", known, _BIND_TCP | _CONNECT_TCP, _ABSTRACT_SOCKETS | _SIGNALS
    )
    size = 24 if version >= SCOPE_SINCE else 16 if version >= NETWORK_SINCE else 8
    rules = _call(_CREATE, attributes, size, 0)
    if rules < 0:
        return _why("landlock_create_ruleset")
    try:
        for path in readable:
            _allow(rules, path, (READ | LIST) & known)
        for path in writable:
            _allow(rules, path, (READ | LIST | _MAY_WRITE) & known)
        if _call(_RESTRICT, rules, 0):
            return _why("landlock_restrict_self")
    except OSError as trouble:
        return f"landlock_add_rule: {trouble}"
    finally:
        os.close(rules)
    return ""


def _allow(rules: int, path: Path, rights: int) -> None:
    """Add a rule for a path and what is beneath it."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_A_FILE
        rule = struct.pack("=Qi", rights, fd)
        if _call(_ADD, rules, _PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(fd)


def _call(number: int, *arguments: bytes | int | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(libc.syscall(ctypes.c_long(number), *wide))


def _why(what: str) -> str:
    return f"{what}: {os.strerror(ctypes.get_errno())}"
