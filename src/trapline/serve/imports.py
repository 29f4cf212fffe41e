"""Imports that a trap process refuses: nothing that could talk to anybody by itself.

The system call filter is what holds; this is for whoever adds a line in good faith and
should learn at once that it does not belong in a trap.

Must not be in here: anything that imports what it refuses.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

REFUSED: Final = frozenset(
    {
        "smtplib", "http.client", "http.server", "urllib.request", "ftplib", "poplib",
        "imaplib", "nntplib", "telnetlib", "xmlrpc", "asyncio", "uvloop", "socketserver",
        "subprocess", "multiprocessing", "webbrowser", "pty", "aiosmtplib", "aiosmtpd",
        "requests", "httpx", "urllib3", "aiohttp", "dns", "paramiko", "trapline.leash",
        "trapline.deliver", "trapline.lookups",
    }
)  # fmt: skip


class Refusal:
    """A finder that is asked before all others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse what is on the list, and say so; leave the rest to others."""
        del path, target
        if is_refused(name):
            raise ModuleNotFoundError(f"{name} has no place in a process with traps", name=name)
        return None


def is_refused(name: str) -> bool:
    """Tell whether a module, or the package it is in, is on the list."""
    words = name.split(".")
    return any(".".join(words[:n]) in REFUSED for n in range(1, len(words) + 1))


def refuse() -> None:
    """Refuse from now on."""
    if not any(isinstance(finder, Refusal) for finder in sys.meta_path):
        sys.meta_path.insert(0, Refusal())


def present() -> list[str]:
    """Return what is on the list and imported all the same."""
    return sorted(name for name in sys.modules if is_refused(name))
