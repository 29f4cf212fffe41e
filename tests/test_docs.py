"""The documents say what the code says."""

import re
from pathlib import Path

from trapline.events import KINDS, Stamp

DOCS = Path(__file__).parent.parent / "docs"


def test_the_events_catalogue_is_complete_and_invents_nothing() -> None:
    """Planted fault: a field renamed in ``events.py`` alone is found here."""
    sections = re.split(r"^## `(.+)`$", (DOCS / "events.md").read_text(), flags=re.MULTILINE)
    said = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert set(said) == set(KINDS)
    for kind, text in said.items():
        rows = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
        assert tuple(rows) == KINDS[kind].__struct_fields__, kind
    stamp = re.findall(r"^\| `(\w+)` \|", sections[0], flags=re.MULTILINE)
    assert tuple(stamp) == Stamp.__struct_fields__
