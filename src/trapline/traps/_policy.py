"""Whom a trap takes: the operator's settings turned into rulings, stable per install.

Must not be in here: replies, verbs, anything a particular server would do.
"""

import functools
import ipaddress
from collections import OrderedDict
from typing import Annotated, Final, Literal

import msgspec

from trapline.persona import Identity
from trapline.smtpwords import Dialogue, Ruling

NETWORKS: Final = 4096  # peer networks whose refused credentials are counted
COMMON: Final = frozenset(("abuse", "admin", "info", "office", "postmaster", "root", "sales"))
SHARE: Final = 13  # of 256 other local parts, so many exist (5 %)


Whole = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=600)]


class Bait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credentials that begin to work once enough others were refused."""

    user: str
    password: str


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator may choose for an SMTP trap; the listener's own keys come before."""

    recipients: Literal[
        "open relay", "relay after AUTH", "MX of these domains", "wrong-domain"
    ] = "open relay"
    domains: tuple[str, ...] = ()  # what "MX of these domains" takes
    own_domains: tuple[str, ...] = ()  # ours: most local parts do not exist there
    auth: Literal["never", "after TLS", "always"] = "never"
    credentials: tuple[Bait, ...] = ()  # bait
    failures: Whole = 3  # refusals in a peer's network before bait works
    tls: Literal["offered", "required", "off"] = "offered"
    tarpit_seconds: Seconds = 0.0  # before each reply
    greet_seconds: Seconds = 0.0  # before the banner; who talks earlier is recorded
    size: Whole = 0  # octets of the biggest message; 0 = as the persona

    def __post_init__(self) -> None:
        if self.recipients == "MX of these domains" and not self.domains:
            raise ValueError('complete: recipients = "MX of these domains" needs domains')


_TAKEN: Final = Ruling.TAKEN  # looking up a member of an enum takes its time


class Policy:
    """Settings at work; the memory of refused credentials lives as long as the process."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self.settings, self.identity = settings, identity
        self.size = settings.size
        own = (
            (*settings.own_domains, identity.host, "localhost") if settings.own_domains else ()
        )
        self.own = frozenset(map(str.lower, own))
        self._mx = frozenset(map(str.lower, settings.domains))
        self._open = settings.recipients == "open relay" and not own and not self._mx
        self.baits = {(b.user.encode(), b.password.encode()) for b in settings.credentials}
        self._failed: OrderedDict[str, int] = OrderedDict()

    def ruling(self, recipient: str, talk: Dialogue) -> Ruling:
        """Say whether mail for this address is taken."""
        if talk.service == "submission" and not talk.user:
            return Ruling.AUTH_REQUIRED
        if self._open:
            return _TAKEN
        local, _, domain = recipient.lower().rpartition("@")
        ours = domain in self.own or domain in self._mx
        if self.settings.recipients == "wrong-domain":
            return Ruling.RELAY_DENIED if ours or not local else _TAKEN
        if not ours:
            relays = self.settings.recipients == "open relay" or talk.user or not local
            return _TAKEN if relays else Ruling.RELAY_DENIED
        if domain in self._mx and any(c in local for c in "@%!"):
            return Ruling.RELAY_DENIED  # routed through us: no MX does that
        return _TAKEN if self.exists(local, domain) else Ruling.UNKNOWN_USER

    def exists(self, local: str, domain: str) -> bool:
        """Tell whether there is such a mailbox: always the same answer, mostly no."""
        if local in COMMON:
            return True
        return self.identity.digest("mailbox", local, domain)[0] < SHARE

    def offers_auth(self, talk: Dialogue) -> bool:
        """Say whether AUTH is offered to this session now."""
        wanted = self.settings.auth
        return wanted == "always" or (wanted == "after TLS" and talk.tls)

    def offers_tls(self, talk: Dialogue) -> bool:
        """Say whether STARTTLS is offered to this session now."""
        return self.settings.tls != "off" and not talk.tls

    def needs_tls(self, talk: Dialogue) -> bool:
        """Say whether this session must start TLS before it may send mail."""
        return self.settings.tls == "required" and not talk.tls

    def credentials_work(self, peer: str, user: bytes, password: bytes) -> bool:
        """Judge credentials: only bait, and only after enough refusals in the network."""
        network = _network(peer)
        failed = self._failed.get(network, 0)
        if (user, password) in self.baits and failed >= self.settings.failures:
            return True
        self._failed[network] = failed + 1
        self._failed.move_to_end(network)
        if len(self._failed) > NETWORKS:
            self._failed.popitem(last=False)
        return False


@functools.lru_cache(maxsize=64)
def policy_of(settings: Settings, identity: Identity) -> Policy:
    """Return the one policy of these settings in this process."""
    return Policy(settings, identity)


def _network(peer: str) -> str:
    """Return the /24 or /64 of an address."""
    return str(ipaddress.ip_network((peer, 64 if ":" in peer else 24), strict=False))
