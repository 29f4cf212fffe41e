"""Open-relay trap: an SMTP server that accepts mail and delivers none of it.

Whom it takes, when it offers AUTH and TLS, and how slow it is, are the operator's
``Settings``; everything a stranger can tell a server by is the persona's.

Must not be in here: the dialogue itself (``_engine.py``).
"""

from typing import Final

from trapline.persona import Identity, Persona
from trapline.session import Session
from trapline.traps._engine import Trap
from trapline.traps._policy import Bait, Settings

__all__ = ["Bait", "Settings", "trap"]

DEFAULTS: Final = Settings()


async def trap(
    session: Session, persona: Persona, identity: Identity, settings: Settings = DEFAULTS
) -> None:
    """Hold one SMTP dialogue, from banner to QUIT."""
    await Trap(session, persona, identity, settings, "smtp").hold()
