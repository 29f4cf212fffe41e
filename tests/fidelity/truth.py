"""What the real servers said, written down: so that personas can be held to it anywhere.

``truth/NAME.json`` holds a line per dialogue: its name, what was heard (masked, latin-1),
and whether the server closed.  ``bench/fidelity.py --record`` writes it anew.
"""

from pathlib import Path
from typing import Final

import msgspec
from tests.fidelity import compare, play
from tests.fidelity.play import Transcript
from tests.fidelity.script import Dialogue

HERE: Final = Path(__file__).parent / "truth"


class Heard(msgspec.Struct, frozen=True):
    """A line of a file."""

    dialogue: str
    heard: tuple[str, ...]
    closed: bool


def names() -> list[str]:
    """Return the personas whose models were written down."""
    return sorted(file.stem for file in HERE.glob("*.json"))


def load(name: str) -> dict[str, Transcript]:
    """Return what the server said, by dialogue."""
    lines = (HERE / f"{name}.json").read_bytes().splitlines()
    found = [msgspec.json.decode(line, type=Heard) for line in lines]
    return {
        one.dialogue: Transcript(tuple(x.encode("latin-1") for x in one.heard), one.closed)
        for one in found
    }


def save(name: str, told: dict[str, Transcript]) -> None:
    """Write down what a server said."""
    HERE.mkdir(exist_ok=True)
    lines = [
        Heard(which, tuple(compare.mask(x).decode("latin-1") for x in said.heard), said.closed)
        for which, said in told.items()
    ]
    (HERE / f"{name}.json").write_bytes(b"".join(msgspec.json.encode(x) + b"\n" for x in lines))


def compared(name: str, dialogue: Dialogue, trap: play.Trap) -> list[compare.Row]:
    """Play a dialogue from memory and hold it against what was written down."""
    return compare.rows(dialogue, _all(name)[dialogue.name], play.in_memory(dialogue, trap))


_READ: dict[str, dict[str, Transcript]] = {}


def _all(name: str) -> dict[str, Transcript]:
    if name not in _READ:
        _READ[name] = load(name)
    return _READ[name]
