"""Submission trap (RFC 6409): the same dialogue, but only who authenticated may send.

Credentials are captured and refused; bait works after enough refusals (``Settings``).

Must not be in here: the dialogue itself (``_engine.py``).
"""

from typing import Final, Literal

from trapline.persona import Identity, Persona
from trapline.session import Session
from trapline.traps import _policy
from trapline.traps._engine import Trap
from trapline.traps._policy import Bait

__all__ = ["Bait", "Settings", "trap"]


class Settings(_policy.Settings, frozen=True, forbid_unknown_fields=True):
    """As for the relay trap, with AUTH offered and needed."""

    auth: Literal["never", "after TLS", "always"] = "always"


DEFAULTS: Final = Settings()


async def trap(
    session: Session, persona: Persona, identity: Identity, settings: Settings = DEFAULTS
) -> None:
    """Hold one submission dialogue, from banner to QUIT."""
    await Trap(session, persona, identity, settings, "submission").hold()
