"""The sandbox of a trap process: put on before the first accept, never taken off.

Three walls, each of which holds alone: no_new_privs with a seccomp filter (no socket, no
connect, no program), Landlock (no TCP, no writing outside the journal), and imports that
are refused.  What took effect is told, never supposed.

Must not be in here: the walls' own mechanics (``seccomp``, ``landlock``, ``imports``).
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from trapline.serve import imports, landlock, seccomp

_NO_NEW_PRIVS: Final = 38  # PR_SET_NO_NEW_PRIVS
READABLE: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo",
    "/etc/localtime", "/etc/ssl/openssl.cnf", "/usr/lib/ssl", "/dev/null", "/dev/urandom",
)  # fmt: skip


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """What took effect; ``trouble`` says in words what did not."""

    no_new_privs: bool = False
    seccomp: bool = False
    landlock: int = 0  # the kernel's ABI; 0 = none
    network: bool = False  # Landlock denies TCP as well
    files: bool = False  # Landlock denies writing elsewhere
    imports: bool = False
    trouble: tuple[str, ...] = ()


def enter(writable: Iterable[Path]) -> Walls:
    """Put the sandbox on; ``writable`` are the folders this process may write to."""
    imports.refuse()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    trouble = [f"{name} is imported" for name in imports.present()]
    libc = ctypes.CDLL(None, use_errno=True)
    privs = libc.prctl(_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) == 0
    if not privs:
        trouble.append(f"no_new_privs: {os.strerror(ctypes.get_errno())}")
    locked = landlock.restrict(map(Path, _readable()), writable)
    filtered = seccomp.install()  # last: it would deny nothing above, but it is the tightest
    trouble += filter(None, (locked, filtered))
    version = landlock.abi()
    if not locked and version < landlock.NETWORK_SINCE:
        trouble.append(f"Landlock ABI {version} knows no network rules; seccomp alone denies")
    return Walls(
        no_new_privs=privs,
        seccomp=not filtered,
        landlock=version,
        network=not locked and version >= landlock.NETWORK_SINCE,
        files=not locked,
        imports=not imports.present(),
        trouble=tuple(trouble),
    )


def _readable() -> list[str]:
    """Return what Python may still want to read: its library, ours, the time zone."""
    return [*READABLE, sys.prefix, sys.base_prefix + "/lib", *filter(None, sys.path)]
