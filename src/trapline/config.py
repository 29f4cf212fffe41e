"""Configuration: shipped defaults, then the operator's file; typed, and strict about typos.

``load()`` returns a :class:`Config` or raises :class:`ConfigError`, which names the place,
the value and what would be right.  Tables of plug-ins (``[[trap]]``, ``[[publish]]``) hold
the plug-in's own ``Settings`` besides the common keys.
"""

import importlib.resources
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from trapline import explain, rooms
from trapline.addresses import Network, documentation, on_this_machine
from trapline.errors import ConfigError, ConfigFileError, TraplineError
from trapline.listings import Kind

NAMES: Final = ("trapline.toml", "/etc/trapline/trapline.toml")
RUNNING: Final = "running.toml"  # in the data directory: a link to what `up` runs with
HELD: Final = "up.lock"  # in the data directory: whoever runs `up` holds it

_HOST: Final = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+", re.IGNORECASE)
# A name, perhaps with a dot or "@" in front, or an address: one that nobody can have would
# protect nobody, without a word.
_NAME: Final = re.compile(r"[.@]?[\w-]+(\.[\w-]+)*\.?|[0-9a-f:.]+(/\d+)?", re.IGNORECASE)

Port = Annotated[int, Meta(ge=1, le=65535, description="a port number (1..65535)")]
Count = Annotated[int, Meta(ge=1, description="a whole number above 0")]
Whole = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
Amount = Annotated[float, Meta(gt=0, le=1e9, description="a number above 0, and finite")]
Text = Annotated[str, Meta(description="a text in quotes")]
Texts = Annotated[tuple[str, ...], Meta(description='a list of texts: ["...", ...]')]
Word = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="a short name (a-z, 0-9, hyphens)")
]


class Install(Struct, frozen=True, forbid_unknown_fields=True):
    """The installation: the name it greets with, and how it runs."""

    host: Text = ""  # FQDN; "" = this machine's, or one made up from the seed
    workers: Count = 1  # processes that hold traps
    user: Text = ""  # account to become once the ports are bound


class JournalSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How much is kept, and when a trap must stop promising."""

    segment_mib: Count = 64
    reserve_mib: Whole = 256  # less free disk than this, and traps answer 452
    quota_gib: Amount = 20.0
    keep_days: Count = 180
    keep_bodies: Count = 20  # raw bodies kept of each near-identical message when thinning


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What one stranger may take of us."""

    per_peer: Count = 2000  # connections at the same time
    per_network: Count = 4000  # of one /24 or /64
    total: Count = 15000
    per_peer_minute: Count = 60_000  # new connections
    idle_seconds: Amount = 300.0  # RFC 5321 section 4.5.3.2.7
    session_seconds: Amount = 3600.0
    grace_seconds: Amount = 5.0  # for running messages when we are told to stop


class TrapSettings(Struct, frozen=True):
    """One trap: what it plays, where it listens, whom it imitates."""

    kind: Word
    port: Port
    name: Word = ""
    address: Texts = ("127.0.0.1",)
    persona: Text = "postfix-3.7"
    implicit_tls: bool = False
    proxy_from: Texts = ()  # networks whose PROXY protocol header is believed and required


class CourtSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When a suspect is tried, and for how long a listing lasts."""

    publish: Literal["dry-run", "live"] = "dry-run"
    threshold: Amount = 1.0
    half_life_days: Amount = 7.0
    term_days: Amount = 7.0
    max_term_days: Amount = 180.0
    network_breadth: Annotated[int, Meta(ge=2, description="a whole number, 2 or more")] = 3
    max_listings: Count = 100_000
    list: tuple[Kind, ...] = (Kind.HOST, Kind.NETWORK)
    rehearsal_networks: Texts = ()


class AllowSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom nothing may ever list."""

    networks: Texts = ()
    hosts: Texts = ()
    domains: Texts = ()


class GenuineSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's own genuine mail, on which every suspect is tried."""

    mail: Texts = ()  # mbox files, Maildirs, folders of .eml
    logs: Texts = ()  # delivery logs
    trusted: Texts = ()  # networks of our own relays: their Received lines are believed


class PublishSettings(Struct, frozen=True):
    """One file that is kept up to date: its format, and who has to be told."""

    kind: Word
    path: Text
    reload: Texts = ()  # a command and its arguments; never a shell
    check: Texts = ()  # a command whose output must show the list


class ClamdSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A virus scanner to ask, on this machine only."""

    address: Text = ""  # "/run/clamav/clamd.ctl" or "127.0.0.1:3310"; "" = none
    seconds: Amount = 10.0


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration, checked."""

    install: Install = Install()
    journal: JournalSettings = JournalSettings()
    limits: LimitSettings = LimitSettings()
    trap: tuple[TrapSettings, ...] = ()
    court: CourtSettings = CourtSettings()
    allow: AllowSettings = AllowSettings()
    genuine: GenuineSettings = GenuineSettings()
    publish: tuple[PublishSettings, ...] = ()
    clamd: ClamdSettings = ClamdSettings()
    settings: dict[str, Any] = {}  # by place ("trap[0]"): the plug-in's own Settings


def home() -> Path:
    """Return the data directory: TRAPLINE_HOME, or ``./var``."""
    return Path(os.environ.get("TRAPLINE_HOME") or "var").absolute()


def shipped() -> str:
    """Return the text of the configuration that ships with Trapline."""
    return importlib.resources.files("trapline").joinpath("trapline.toml").read_text("utf-8")


def held() -> Path:
    """Return the file that `trapline up` holds while it runs."""
    return home() / HELD


def find(path: Path | None) -> Path | None:
    """Return the operator's file: the one asked for, or the first that exists.

    What `trapline up` runs with comes first, so that reading commands judge by the same.
    """
    if path is not None:
        return path
    places = (home() / RUNNING, *map(Path, NAMES), home() / "trapline.toml")
    return next((place for place in places if place.is_file()), None)


def remember(path: Path | None) -> Path | None:
    """Note which file `trapline up` runs with, and return it."""
    link = home() / RUNNING
    if path is None:
        link.unlink(missing_ok=True)
    if (file := find(path)) is not None and file != link:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(file.absolute())
    return file


def load(path: Path | None = None) -> Config:
    """Read the shipped defaults and lay the operator's file over them.

    Raises:
        ConfigError: a setting is unknown or out of range, or the file cannot be read; it
            says which and what is right.
    """
    tree = tomllib.loads(shipped())
    if (file := find(path)) is not None:
        tree = _laid_over(tree, _read(file))
    return check(tree)


def check(tree: Mapping[str, Any]) -> Config:
    """Turn a TOML tree into a Config, plug-ins' settings included."""
    tables = [name for name in Config.__struct_fields__ if name != "settings"]
    for name in tree:
        if name not in tables:
            raise ConfigError(name, tree[name], f"a table of settings ({', '.join(tables)})")
    common, own = dict(tree), dict[str, Any]()
    for table, room in (("trap", "traps"), ("publish", "publish")):
        rows = common.get(table, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError(table, rows, f"a list of tables: write [[{table}]]")
        common[table] = []
        for at, row in enumerate(rows):
            kind = row.get("kind")
            if not isinstance(kind, str) or kind not in rooms.names(room):
                want = f"one of {', '.join(rooms.names(room))}"
                raise ConfigError(f"{table}[{at}].kind", kind, want)
            fields = (TrapSettings if table == "trap" else PublishSettings).__struct_fields__
            common[table].append({k: v for k, v in row.items() if k in fields})
            rest = {k: v for k, v in row.items() if k not in fields}
            own[f"{table}[{at}]"] = _plugin_settings(room, kind, rest, f"{table}[{at}]", fields)
    config = explain.convert(common, Config, "")
    config = msgspec.structs.replace(config, settings=own, trap=_named(config.trap))
    _check_values(config)
    return config


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as trouble:
        raise ConfigFileError(str(file), trouble.strerror, "a file to be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as trouble:
        raise ConfigFileError(str(file), str(trouble), "a text in TOML") from None


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge tables key by key; whatever is no table replaces what was there."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _laid_over(old, value)
        else:
            merged[key] = value
    return merged


def _plugin_settings(
    room: str, kind: str, rest: dict[str, Any], where: str, fields: tuple[str, ...]
) -> object:
    """Convert what is left of a table to the plug-in's own Settings."""
    wanted = getattr(rooms.find(room, kind), "Settings", None)
    if wanted is not None:
        return explain.convert(rest, wanted, where)
    for key, value in rest.items():
        raise ConfigError(f"{where}.{key}", value, f"a known setting ({', '.join(fields)})")
    return None


def _named(traps: tuple[TrapSettings, ...]) -> tuple[TrapSettings, ...]:
    """Give traps without a name that of their kind, numbered where it is taken."""
    named, taken = [], {trap.name for trap in traps if trap.name}
    for trap in traps:
        name = trap.name or trap.kind
        number = 2
        while not trap.name and name in taken:
            name, number = f"{trap.kind}-{number}", number + 1
        taken.add(name)
        named.append(msgspec.structs.replace(trap, name=name))
    return tuple(named)


def _check_values(config: Config) -> None:
    """Check what types cannot say: addresses, networks, personas, names used twice."""
    _check_traps(config)
    paths = [target.path for target in config.publish]
    for at, path in enumerate(paths):
        if not path or paths.index(path) != at:
            raise ConfigError(f"publish[{at}].path", path, "a path that no other list has")
    if config.clamd.address and not on_this_machine(config.clamd.address):
        want = "a socket's path or a loopback address with a port"
        raise ConfigError("clamd.address", config.clamd.address, want)
    networks("allow.networks", config.allow.networks)
    _check_names("allow.hosts", config.allow.hosts)
    _check_names("allow.domains", config.allow.domains)
    networks("genuine.trusted", config.genuine.trusted)
    rehearsal = networks("court.rehearsal_networks", config.court.rehearsal_networks)
    for at, net in enumerate(rehearsal):
        if not documentation(net):
            where = f"court.rehearsal_networks[{at}]"
            raise ConfigError(where, str(net), 'a documentation network ("192.0.2.0/24")')
    _check_host(config)


def _check_traps(config: Config) -> None:
    names = [trap.name for trap in config.trap]
    for at, trap in enumerate(config.trap):
        if names.index(trap.name) != at:
            raise ConfigError(f"trap[{at}].name", trap.name, "a name no other trap has")
        if not trap.address:
            raise ConfigError(f"trap[{at}].address", trap.address, "at least one IP address")
        for place, address in enumerate(trap.address):
            _address(f"trap[{at}].address[{place}]", address)
        networks(f"trap[{at}].proxy_from", trap.proxy_from)
        try:
            rooms.persona(trap.persona)
        except TraplineError:
            want = f"one of {', '.join(rooms.personas())}"
            raise ConfigError(f"trap[{at}].persona", trap.persona, want) from None


def _check_names(where: str, names: tuple[str, ...]) -> None:
    for at, name in enumerate(names):
        if not _NAME.fullmatch(name):
            want = 'a name ("mx.example.org") or an address'
            raise ConfigError(f"{where}[{at}]", name, want)


def _check_host(config: Config) -> None:
    """Refuse to face strangers under a name that every installation has."""
    host = config.install.host
    if host and not _HOST.fullmatch(host):
        raise ConfigError("install.host", host, 'a full host name ("mx1.example.org")')
    open_to_all = any(
        not ipaddress.ip_address(a).is_loopback for trap in config.trap for a in trap.address
    )
    if open_to_all and not host:
        want = "a host name: a trap that strangers reach needs the name its address has in DNS"
        raise ConfigError("install.host", host, want)


def _address(where: str, text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ConfigError(where, text, 'an IP address ("127.0.0.1", "::")') from None


def networks(where: str, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Read networks in CIDR notation; host bits must be zero, so that typos show."""
    found: list[Network] = []
    for at, text in enumerate(texts):
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            want = 'a network ("192.0.2.0/24", "2001:db8::/32") or an address'
            raise ConfigError(f"{where}[{at}]", text, want) from None
    return tuple(found)
