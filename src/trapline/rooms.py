"""Rooms: find a plug-in by its file name; no registry, no decorator.

``find("publish", "postfix")`` imports ``trapline.publish.postfix`` on first use.
"""

import functools
import importlib
import importlib.metadata
import importlib.resources
import pkgutil
from types import ModuleType

import msgspec

from trapline.errors import TraplineError
from trapline.persona import Persona


def names(room: str) -> list[str]:
    """Return the plug-ins of a room, sorted; what begins with ``_`` is furniture."""
    package = importlib.import_module(f"trapline.{room}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_")


def find(room: str, name: str) -> ModuleType:
    """Return the plug-in's module.

    Raises:
        TraplineError: the room has no file of that name; the text lists those it has.
    """
    if name not in (there := names(room)):
        raise TraplineError(f"{room}/{name!r} does not exist; there is: {', '.join(there)}")
    return importlib.import_module(f"trapline.{room}.{name}")


@functools.cache
def personas() -> dict[str, Persona]:
    """Return all personas that ship with Trapline, by name."""
    files = importlib.resources.files("trapline.personas").iterdir()
    texts = [f.read_text("utf-8") for f in files if f.name.endswith(".toml")]
    found = [msgspec.toml.decode(text, type=Persona) for text in texts]
    return {persona.name: persona for persona in sorted(found, key=lambda p: p.name)}


def persona(name: str) -> Persona:
    """Return a persona by its name or an alias; case and punctuation do not matter.

    Raises:
        TraplineError: there is none of that name; the text lists those there are.
    """
    wanted = _bare(name)
    for one in personas().values():
        if wanted in map(_bare, (one.name, *one.aliases)):
            return one
    raise TraplineError(f"persona {name!r} does not exist; there is: {', '.join(personas())}")


def _bare(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def version() -> str:
    """Return the version of this Trapline."""
    return importlib.metadata.version("trapline")
