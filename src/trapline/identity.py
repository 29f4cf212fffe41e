"""Identity: what makes one installation differ from every other, kept for ever.

The seed is drawn once and stays in ``HOME/identity/seed``; host name, certificate, queue ids
and the stable yes/no for recipients are derived from it.  No look-ups: asking a name server
for our own name would already be a packet that leaves.
"""

import os
import secrets
import socket
from pathlib import Path
from typing import Final

from trapline.errors import TraplineError
from trapline.persona import Identity

SEED: Final = 32  # octets
_FIRST: Final = (
    "ash",
    "birch",
    "cedar",
    "fern",
    "hazel",
    "linden",
    "maple",
    "oak",
    "rowan",
    "elm",
)
_SECOND: Final = (
    "bridge",
    "brook",
    "field",
    "gate",
    "hill",
    "mill",
    "stone",
    "vale",
    "wick",
    "ford",
)


def load(home: Path, host: str = "") -> Identity:
    """Return this installation's identity; the first call makes it.

    Args:
        home: the data directory.
        host: the configured host name; "" takes the machine's full name, or makes one up.
    """
    seed = _seed(home / "identity" / "seed")
    machine = socket.gethostname().lower()
    return Identity(host or (machine if "." in machine else _made_up(seed)), seed)


def _seed(file: Path) -> bytes:
    """Read the seed, or draw one; of two processes that draw, the first wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        own = file.with_name(f"seed.{os.getpid()}")
        own.write_bytes(secrets.token_bytes(SEED))
        own.chmod(0o600)
        try:
            os.link(own, file)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    seed = file.read_bytes()
    if len(seed) != SEED:
        raise TraplineError(f"{file}: {len(seed)} octets, not {SEED}; restore it from a backup")
    return seed


def _made_up(seed: bytes) -> str:
    """Name an installation that only loopback can see."""
    first, second = _FIRST[seed[0] % len(_FIRST)], _SECOND[seed[1] % len(_SECOND)]
    return f"mx{1 + seed[2] % 4}.{first}{second}{seed[3] % 90 + 10}.example"
