"""Rooms: plug-ins are found by their names."""

import pytest

from trapline import rooms
from trapline.errors import TraplineError


def test_a_room_lists_its_files_without_furniture() -> None:
    """Files that begin with an underscore are no plug-ins."""
    assert "smtp" in rooms.names("traps")
    assert not [name for name in rooms.names("traps") if name.startswith("_")]


def test_what_is_not_there_is_named_with_what_is() -> None:
    """The error helps the operator who mistyped."""
    with pytest.raises(TraplineError, match=r"publish/'postfixx' does not exist; .*postfix"):
        rooms.find("publish", "postfixx")
    with pytest.raises(TraplineError, match="does not exist"):
        rooms.find("traps", "_auth")
    with pytest.raises(TraplineError, match="does not exist"):
        rooms.find("traps", "../cli")


@pytest.mark.parametrize("name", ["postfix-3.7", "Postfix 3.7", "POSTFIX37", "postfix_3_7"])
def test_personas_answer_to_their_names_however_written(name: str) -> None:
    """Case and punctuation do not matter."""
    assert rooms.persona(name).name == "postfix-3.7"


def test_an_unknown_persona_is_named_with_those_there_are() -> None:
    """The same help as for plug-ins."""
    with pytest.raises(TraplineError, match=r"'qmail' does not exist; .*postfix-3\.7"):
        rooms.persona("qmail")
