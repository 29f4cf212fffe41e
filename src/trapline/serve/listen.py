"""Listening: addresses become sockets, before any privilege is given up.

Each worker gets a socket of its own on each address (SO_REUSEPORT), so that the kernel
spreads the connections; sockets from socket activation are shared by all workers.

Must not be in here: accepting (``door``), processes.
"""

import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Final

from trapline.errors import TraplineError
from trapline.serve.plan import BACKLOG, Listener, Plan, where

FIRST: Final = 3  # the first descriptor of socket activation, sd_listen_fds(3)


class Open:
    """A listener's sockets: one for each worker, or one for all of them."""

    __slots__ = ("listener", "port", "sockets")

    def __init__(self, listener: Listener, sockets: list[socket.socket]) -> None:
        self.listener, self.sockets = listener, sockets
        self.port: int = sockets[0].getsockname()[1]

    def of(self, worker: int) -> socket.socket:
        """Return the socket that the worker accepts on."""
        return self.sockets[worker % len(self.sockets)]

    def __str__(self) -> str:
        return f"{self.listener.kind} {where(self.listener.address, self.port)}"


def everything(plan: Plan, environment: Mapping[str, str], handed: list[Open]) -> list[Open]:
    """Open all listeners of the plan, in its order; those handed to us are open already.

    Raises:
        TraplineError: an address cannot be had; the text says which and why.
    """
    free = environment.get("TRAPLINE_PORTS") == "0"
    there = {id(open_.listener): open_ for open_ in handed}
    return [
        there.get(id(one)) or Open(one, _bound(one, plan.workers, free=free))
        for one in plan.listeners
    ]


def _bound(listener: Listener, workers: int, *, free: bool) -> list[socket.socket]:
    """Bind a socket for each worker; the first settles the port where any will do."""
    made: list[socket.socket] = []
    port = 0 if free else listener.port
    if port:  # with SO_REUSEPORT alone, another process of ours would share it in silence
        _one(listener, port, shared=False).close()
    for _ in range(workers):
        made.append(_one(listener, port))
        port = made[0].getsockname()[1]
    return made


def _one(listener: Listener, port: int, *, shared: bool = True) -> socket.socket:
    six = ":" in listener.address
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if six:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Set here they are inherited, and cost nothing for each connection.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.bind((listener.address, port))
        made.listen(BACKLOG)
    except OSError as trouble:
        made.close()
        at = where(listener.address, port)
        raise TraplineError(f"cannot listen on {at}: {trouble.strerror}") from None
    return made


def handed_over(plan: Plan, environment: Mapping[str, str]) -> list[Open]:
    """Take sockets from socket activation (sd_listen_fds(3)) that fit listeners.

    They fit by name (``FileDescriptorName=`` in the socket unit) and address, or by the
    address and port alone; one that fits nothing is an error, for it would hang.

    Raises:
        TraplineError: a socket that was handed over belongs to no listener.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (count - len(names))
    found: list[Open] = []
    for fd, name in zip(range(FIRST, FIRST + count), names, strict=False):
        given = socket.socket(fileno=fd)
        os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own call
        taken = {id(open_.listener) for open_ in found}
        left = [one for one in plan.listeners if id(one) not in taken]
        given.listen(BACKLOG)
        found.append(Open(_fitting(given, name, left), [given]))
    return found


def _fitting(given: socket.socket, name: str, listeners: Iterable[Listener]) -> Listener:
    address, port = given.getsockname()[:2]
    same = [one for one in listeners if _covers(address, one.address)]
    for one in same:
        if name == one.name:
            return one
    for one in same:
        if port == one.port:
            return one
    at = where(address, port)
    given.close()
    raise TraplineError(f"socket {name!r} on {at} was handed to us, but no trap listens there")


def _covers(bound: str, wanted: str) -> bool:
    """Tell whether a socket bound to one address serves a listener on the other."""
    have, want = ipaddress.ip_address(bound), ipaddress.ip_address(wanted)
    return have == want or (have.is_unspecified and have.version >= want.version)
