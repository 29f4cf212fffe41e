"""Play every dialogue with the real server and with the persona, and count what is alike.

Must not be in here: printing; how servers are started.
"""

import functools
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from tests.fidelity import compare, play
from tests.fidelity.real import HOST, Server
from tests.fidelity.script import Dialogue

from trapline import rooms
from trapline.persona import Identity
from trapline.traps.smtp import Settings, trap

AT_ONCE: Final = 8  # dialogues with the real server; more only disturb one another
AGAIN: Final = 2  # more tries before a difference counts: the machine may be busy
REST: Final = 1.0  # seconds before them
LONGEST: Final = 20.0  # seconds of tarpit that are worth waiting for
WIRE: Final = "(wire)"  # in the name of a dialogue that memory cannot play


class Result(msgspec.Struct, frozen=True):
    """A dialogue and its rows; none where the server would take too long over it."""

    dialogue: Dialogue
    rows: tuple[compare.Row, ...]
    truth: play.Transcript | None = None

    @property
    def same(self) -> bool:
        """Tell whether no row differs."""
        return all(row.same for row in self.rows)


def persona_trap(name: str) -> play.Trap:
    """Return the SMTP trap that imitates a server, as the dialogues expect it."""
    name, plus, _ = name.partition("+auth")
    settings = Settings(auth="always") if plus else Settings()
    identity = Identity(HOST, b"fidelity")
    persona = rooms.persona(name)
    return functools.partial(trap, persona=persona, identity=identity, settings=settings)


def in_memory(name: str, dialogues: Iterable[Dialogue], server: Server) -> list[Result]:
    """Compare a persona, played from memory, with the running server."""
    playable = [one for one in dialogues if WIRE not in one.name]
    persona = persona_trap(name)
    return against(server, playable, lambda one: play.in_memory(one, persona))


def over_tcp(
    dialogues: Iterable[Dialogue], server: Server, connect: play.Connect
) -> list[Result]:
    """Compare a persona, behind a real socket, with the running server."""
    return against(server, dialogues, lambda one: play.over_tcp(one, connect))


def against(server: Server, dialogues: Iterable[Dialogue], other: play.Player) -> list[Result]:
    """Play dialogues with the server and somewhere else."""

    def one(dialogue: Dialogue) -> Result:
        result = _compare(server, dialogue, other)
        for _ in range(AGAIN):
            if not result.same:
                time.sleep(REST)
                result = _compare(server, dialogue, other)
        return result

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, dialogues))


def _compare(server: Server, dialogue: Dialogue, other: play.Player) -> Result:
    like = other(dialogue)
    if sum(like.waits) > LONGEST:
        return Result(dialogue, ())
    truth = play.over_tcp(
        dialogue, lambda: server.stage.connect(server.port, play.PATIENCE), like
    )
    return Result(dialogue, tuple(compare.rows(dialogue, truth, like)), truth)
