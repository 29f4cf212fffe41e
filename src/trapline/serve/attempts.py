"""Attempts: a process puts the sandbox on and tries what a trap must not be able to do.

Run by the self-check as ``python -m trapline.serve.attempts FOLDER``; prints one JSON
object.  Nothing is tried towards other machines unless the kernel has said that a wall
stands which denies it: a check of harmlessness must do no harm.

Must not be in here: judging the outcome (``selfcheck``).
"""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from trapline.serve import sandbox
from trapline.serve.sandbox import Walls

# RFC 5737 and RFC 3849: addresses for documentation, where nobody is.
OUTSIDE: Final = (("192.0.2.1", 25), ("2001:db8::1", 25))
INSIDE: Final = (("127.0.0.1", 25), ("::1", 25))


class Outcome(msgspec.Struct, frozen=True):
    """What was put on, and what became of each attempt: "EPERM", "done", ..."""

    walls: Walls
    tried: dict[str, str]


def attempt(act: Callable[[], object]) -> str:
    """Do something and return "done", the name of the error, or "refused" for an import."""
    try:
        act()
    except ImportError:
        return "refused"
    except OSError as trouble:
        return errno.errorcode.get(trouble.errno or 0, str(trouble))
    return "done"


def everything(folder: Path) -> Outcome:
    """Open sockets, put the sandbox on, try to use them, and to make more."""
    with contextlib.ExitStack() as opened:
        streams = {
            (family, address): opened.enter_context(socket.socket(family))
            for family, addresses in _families().items()
            for address in addresses
        }
        datagrams = {
            family: opened.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            for family in _families()
        }
        inside = folder / "inside"
        inside.mkdir()
        walls = sandbox.enter([inside])
        acts: dict[str, Callable[[], object]] = {
            "open a socket": socket.socket,
            "open a raw socket": lambda: socket.socket(
                socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP
            ),
            "run a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - denied
            "start a process": _fork,
            "write elsewhere": (folder / "outside").touch,
            "import smtplib": lambda: __import__("smtplib"),
            "import http.client": lambda: __import__("http.client"),
        }
        for (family, address), stream in streams.items():
            if address in INSIDE or walls.seccomp or walls.network:
                acts[f"connect to {address[0]}"] = _connecting(stream, address)
            if address not in INSIDE and walls.seccomp:
                acts[f"send a datagram to {address[0]}"] = _sending(datagrams[family], address)
        return Outcome(walls, {name: attempt(act) for name, act in acts.items()})


def _families() -> dict[int, list[tuple[str, int]]]:
    """Return the address families this machine has, with where to try to go."""
    families = (
        {socket.AF_INET: 0, socket.AF_INET6: 1} if socket.has_ipv6 else {socket.AF_INET: 0}
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for family, at in families.items():
        try:
            socket.socket(family).close()
        except OSError:
            continue
        found[family] = [OUTSIDE[at], INSIDE[at]]
    return found


def _connecting(stream: socket.socket, address: tuple[str, int]) -> Callable[[], None]:
    def act() -> None:
        stream.settimeout(1.0)
        stream.connect(address)

    return act


def _sending(datagram: socket.socket, address: tuple[str, int]) -> Callable[[], int]:
    return lambda: datagram.sendto(b"", address)


def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(everything(Path(sys.argv[1]))))
