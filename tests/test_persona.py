"""Personas: wording goes over the wire as the server would send it; each file is whole."""

import importlib
import re
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import rooms
from trapline.errors import TraplineError
from trapline.persona import Identity, Persona, wire
from trapline.smtpwords import dialect_of

ALL = rooms.personas().values()
HOME = Identity("mx1.example.net", b"seed")
PLAIN = Persona(
    name="plain",
    software="none",
    dialect="postfix",
    replies={"ONE": "250 fine", "MORE": "250 {host}\n{lines}"},
)


def test_replies_are_rendered_line_by_line() -> None:
    """Every line but the last has a hyphen after its code."""
    assert PLAIN.reply("ONE") == b"250 fine\r\n"
    assert PLAIN.reply("MORE", {"host": "h", "lines": "A\nB"}) == b"250-h\r\n250-A\r\n250 B\r\n"


def test_fixed_replies_are_rendered_once() -> None:
    """The same octets object, so that the hot path costs nothing."""
    assert PLAIN.reply("ONE") is PLAIN.reply("ONE")


@given(st.binary(max_size=50))
def test_octets_of_strangers_go_out_as_they_came_in(octets: bytes) -> None:
    """Latin-1 in, latin-1 out; braces in them are no fields."""
    text = octets.replace(b"\n", b"").decode("latin-1")
    reply = PLAIN.reply("MORE", {"host": text, "lines": "x"})
    assert reply == b"250-" + text.encode("latin-1") + b"\r\n250 x\r\n"


def test_text_beyond_latin_1_does_not_crash() -> None:
    """A host name from the configuration may be anything."""
    assert wire("250 \u20ac") == b"250 ?\r\n"


def test_identity_is_stable_and_differs_per_install() -> None:
    """And the words are told apart: ("ab", "c") is not ("a", "bc")."""
    other = Identity("mx1.example.net", b"other seed")
    assert HOME.digest("x") == Identity("mx9.example.net", b"seed").digest("x")
    assert len({HOME.digest("ab", "c"), HOME.digest("a", "bc"), other.digest("ab", "c")}) == 3


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_every_reply_the_dialect_uses_is_there(persona: Persona) -> None:
    """Planted fault: a reply renamed in one TOML file."""
    names = importlib.import_module(f"trapline.dialects.{persona.dialect}").REPLIES
    assert sorted(set(names) - set(persona.replies)) == []


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_every_reply_is_well_formed(persona: Persona) -> None:
    """A code, a blank, printable ASCII, no field that cannot be filled in."""
    for name, text in persona.replies.items():
        if not text:
            continue  # a server may keep silent
        assert re.fullmatch(r"([2-5]\d\d|\{code\}) [\t\x20-\x7e\n]*", text), name
        for _, field, spec, _ in string.Formatter().parse(text):
            assert field is None or field.isidentifier(), name
            assert not spec, name


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_its_dialect_can_be_built(persona: Persona) -> None:
    """Limits and traits that the dialect asks for are all there; built once per identity."""
    assert dialect_of(persona, HOME) is dialect_of(persona, HOME)
    assert persona.source


def test_a_dialect_is_found_by_a_plain_name_only() -> None:
    """The name comes from a file; it must not reach out of the room."""
    with pytest.raises(ValueError, match="no dialect"):
        dialect_of(msgspec.structs.replace(PLAIN, dialect="../x"), HOME)


def test_personas_are_found_by_name_and_alias() -> None:
    """Case and punctuation do not matter."""
    assert rooms.persona("Postfix 3.7").name == "postfix-3.7"
    assert rooms.persona("postfix3.10").name == "postfix-3.10"
    with pytest.raises(TraplineError, match=r"there is: .*postfix-3\.7"):
        rooms.persona("qmail")
