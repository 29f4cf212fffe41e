"""Launch: turn the configuration into the plan of one run.

Must not be in here: sockets, processes; the supervisor runs what this writes down.
"""

import hashlib

import msgspec

from trapline import rooms
from trapline.config import Config, TrapSettings, home
from trapline.errors import ConfigError, TraplineError
from trapline.serve.plan import Limits, Listener, Plan

MIB = 2**20


def plan(config: Config, persona: str = "") -> Plan:
    """Return what `trapline up` is to run.

    Args:
        config: the checked configuration.
        persona: overrides the persona of the relay trap (the first of kind "smtp").

    Raises:
        ConfigError: there is no persona of that name.
    """
    listeners = tuple(
        _listener(config, at, address)
        for at, trap in enumerate(config.trap)
        for address in trap.address
    )
    if persona:
        relay = next((trap for trap in config.trap if trap.kind == "smtp"), None)
        name = _persona(persona)
        listeners = tuple(
            msgspec.structs.replace(one, persona=name)
            if relay and one.name == relay.name
            else one
            for one in listeners
        )
    limits, journal = config.limits, config.journal
    return Plan(
        listeners=listeners,
        home=str(home()),
        host=config.install.host,
        limits=Limits(
            per_peer=limits.per_peer,
            per_network=limits.per_network,
            total=limits.total,
            per_peer_minute=limits.per_peer_minute,
            idle_seconds=limits.idle_seconds,
            session_seconds=limits.session_seconds,
        ),
        workers=config.install.workers,
        user=config.install.user,
        version=rooms.version(),
        config=hashlib.sha256(msgspec.json.encode(config, order="deterministic")).hexdigest(),
        segment_octets=journal.segment_mib * MIB,
        reserve_octets=journal.reserve_mib * MIB,
        grace_seconds=limits.grace_seconds,
    )


def _persona(asked: str) -> str:
    """Return the persona's own name for a name or an alias of it."""
    try:
        return rooms.persona(asked).name
    except TraplineError:
        raise ConfigError("--persona", asked, f"one of {', '.join(rooms.personas())}") from None


def _listener(config: Config, at: int, address: str) -> Listener:
    trap: TrapSettings = config.trap[at]
    return Listener(
        name=trap.name,
        kind=trap.kind,
        address=address,
        port=trap.port,
        persona=rooms.persona(trap.persona).name,
        settings=msgspec.to_builtins(config.settings.get(f"trap[{at}]")) or {},
        implicit_tls=trap.implicit_tls,
        proxy_from=trap.proxy_from,
    )
