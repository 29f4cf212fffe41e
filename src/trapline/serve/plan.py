"""The plan: everything the supervisor and its workers need to know, as plain data.

The desk makes a :class:`Plan` of the configuration; the supervisor hands it to each worker
process as JSON, so that a worker reads no configuration file and knows no secret it does
not need.

Must not be in here: reading files, sockets, defaults that belong to the configuration.
"""

import ipaddress
from pathlib import Path
from typing import Any, Final

import msgspec

from trapline.addresses import Network

BACKLOG: Final = 4096  # connections the kernel holds for us; with 100, bursts wait seconds


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One address and port on which a trap waits; ``name`` is its sensor's name.

    A trap with several addresses has several listeners of the same name.  ``settings``
    are the trap's own, as builtins.
    """

    name: str
    kind: str  # module in ``traps/``
    address: str
    port: int
    persona: str
    settings: dict[str, Any] = {}
    implicit_tls: bool = False
    proxy_from: tuple[str, ...] = ()  # networks whose PROXY header is believed, and required

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks of ``proxy_from``, read."""
        return tuple(ipaddress.ip_network(text) for text in self.proxy_from)

    def __str__(self) -> str:
        return f"{self.kind} {where(self.address, self.port)}"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What strangers may take of us.

    ``total`` is shared out among the workers; the others are counted by each for itself.
    """

    per_peer: int = 200  # connections at the same time
    per_network: int = 1000  # of one /24 or /64
    total: int = 15_000
    per_peer_minute: int = 6000  # new connections
    idle_seconds: float = 300.0  # RFC 5321 section 4.5.3.2.7
    session_seconds: float = 3600.0
    handshake_seconds: float = 30.0
    proxy_seconds: float = 5.0
    session_octets: int = 2**30  # heard in one session


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the supervisor is to do."""

    listeners: tuple[Listener, ...]
    home: str  # the data directory; the only place a worker may write to
    host: str = ""  # the name the traps greet with; "" = see ``identity.load``
    limits: Limits = Limits()
    workers: int = 1
    user: str = ""  # account to become once the ports are bound
    version: str = ""
    config: str = ""  # SHA-256 (hex) of the effective configuration
    segment_octets: int = 64 * 2**20
    reserve_octets: int = 256 * 2**20
    grace_seconds: float = 5.0  # for running messages when we are told to stop
    sandbox: bool = True  # off only to measure what it costs

    @property
    def journal(self) -> Path:
        """Where the journal's segments are."""
        return Path(self.home) / "journal"

    @property
    def state(self) -> Path:
        """Where workers say what took effect."""
        return Path(self.home) / "state"

    @property
    def identity(self) -> Path:
        """Where what is unique to this installation is kept: seed, keys, certificates."""
        return Path(self.home) / "identity"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor tells one worker: the plan, and which sockets are its own.

    ``sockets`` are descriptors, one for each listener of the plan, in its order.
    """

    plan: Plan
    index: int
    host: str
    seed: bytes
    sockets: tuple[int, ...]
    certificates: dict[str, str] = {}  # persona -> PEM file with key and certificate


def where(address: str, port: int) -> str:
    """Write an address and a port the usual way, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
