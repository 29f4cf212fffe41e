"""Personas: the server a trap pretends to be, as data, and the one place that words replies.

A persona file (``personas/NAME.toml``) holds every text, limit and list a stranger can
see; its ``dialect`` names the family in ``dialects/`` that reads commands as that server
does.  An :class:`Identity` (host name, per-install seed) makes one installation differ
from every other and stay the same for ever.
"""

import functools
import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

CRLF: Final = b"\r\n"


class Identity(msgspec.Struct, frozen=True):
    """What is unique and stable for one installation."""

    host: str  # the name the trap greets with
    seed: bytes  # secret; everything "random but stable" is derived from it

    def digest(self, *words: str) -> bytes:
        """Return 32 octets that depend on the installation and the words only."""
        return hashlib.blake2b(
            "\0".join(words).encode(), key=self.seed, digest_size=32
        ).digest()


class Persona(msgspec.Struct, frozen=True, kw_only=True, dict=True, forbid_unknown_fields=True):
    """One server as a stranger sees it.

    ``replies`` maps a name ("MAIL_OK") to a text with the reply code in front and
    ``{fields}`` in it; further lines of a reply follow a newline, without the code.
    ``extensions`` is the EHLO list in order.  ``limits`` and ``traits`` are the numbers
    and switches of the dialect, explained in the dialect's docstring.
    """

    name: str  # "postfix-3.7"
    software: str  # "Postfix 3.7.11"
    dialect: str  # module in ``dialects/``
    aliases: tuple[str, ...] = ()
    source: str = ""  # where the texts were measured
    extensions: tuple[str, ...] = ()
    replies: dict[str, str] = {}
    limits: dict[str, int] = {}
    traits: dict[str, bool | int | str | list[str]] = {}
    certificate: dict[str, str] = {}  # what the server's default certificate looks like

    def reply(self, name: str, fields: Mapping[str, object] | None = None) -> bytes:
        """Render a reply as it goes over the wire, CR LF and hyphens included."""
        if fields is None:
            return self._fixed(name)
        return wire(self.replies[name].format_map(fields))

    def words(self, trait: str) -> tuple[str, ...]:
        """Return a trait that is a list of words; () where it is not there."""
        value = self.traits.get(trait, ())
        return tuple(value) if isinstance(value, (list, tuple)) else ()

    @functools.cached_property
    def built(self) -> dict[Identity, object]:
        """The dialects built for this persona so far (see ``smtpwords.dialect_of``)."""
        return {}

    @functools.cached_property
    def _rendered(self) -> dict[str, bytes]:
        return {}

    def _fixed(self, name: str) -> bytes:
        if (octets := self._rendered.get(name)) is None:
            octets = self._rendered[name] = wire(self.replies[name])
        return octets


def wire(text: str) -> bytes:
    r"""Turn ``"250 a\nb"`` into ``250-a CRLF 250 b CRLF``.

    Octets of strangers come in, and go out again, as latin-1.
    """
    code, lines = text[:3], text[4:].split("\n")
    last = len(lines) - 1
    return "".join(
        f"{code}{'-' if at < last else ' '}{line}\r\n" for at, line in enumerate(lines)
    ).encode("latin-1", "replace")
