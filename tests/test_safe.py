"""Safe: whatever a stranger wrote, it is shown and does not act."""

import csv
import html.parser
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trapline import safe

ANY = st.text(st.characters(codec=None), max_size=60)


@given(ANY)
@example("\x1b]0;owned\x07\x1b[2J")
@example("a\r\nb\u2028c\u2029d\x85e")
@example("invoice\u202egpj.exe")
@example("\ud800")
def test_no_character_acts_on_a_terminal(foreign: str) -> None:
    """Planted fault: ``isprintable`` replaced by ``c >= ' '`` let 0x9B and U+202E through."""
    shown = safe.text(foreign)
    shown.encode("utf-8")  # no lone surrogates: print() would raise
    for character in shown:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1


@given(ANY, st.integers(1, 80))
def test_text_is_cut_to_its_limit(foreign: str, limit: int) -> None:
    """Escapes are longer than what they stand for; the limit holds for what is shown."""
    assert len(safe.text(foreign, limit)) <= limit


@given(ANY)
@example("=HYPERLINK(1)")
@example("\t=1+1")
@example(" +1")
@example("\uff1d1+1")
def test_no_cell_is_a_formula(foreign: str) -> None:
    """Planted fault: looking at the first character only let ``" =1"`` through."""
    table = io.StringIO()
    csv.writer(table).writerow([safe.csv_cell(foreign), "end"])
    (row,) = csv.reader(io.StringIO(table.getvalue()))
    assert row[1:] == ["end"]
    assert row[0].strip(" \t\r\n\"'")[:1] not in set("=+-@\uff1d\uff0b\uff0d\uff20") or (
        row[0].startswith("'")
    )


@given(ANY)
@example('"><script>alert(1)</script>')
@example("' onload='x")
def test_html_stays_text(foreign: str) -> None:
    """Neither as an element's text nor as an attribute does anything become markup."""
    seen = list[tuple[str, list[str]]]()

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, [name for name, _ in attrs]))

    shown = safe.html(foreign)
    Reader().feed(f"<p title=\"{shown}\">{shown}</p><i title='{shown}'></i>")
    assert seen == [("p", ["title"]), ("i", ["title"])]


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("http://evil.example/a.b?c=d.e", "hxxp://evil[.]example/a.b?c=d.e"),
        ("HTTPS://a@evil.example", "hxxpS://a[@]evil[.]example"),
        ("evil.example", "evil[.]example"),
        ("ftp://x.example", "fxp://x[.]example"),
    ],
)
def test_links_are_defanged(link: str, shown: str) -> None:
    """Nothing is left that a terminal or a mail program would make clickable."""
    assert safe.defang(link) == shown


def test_wire_text_is_read_as_utf8_where_it_is_that() -> None:
    """Events keep octets as latin-1; both readings survive."""
    assert safe.wire("grüße".encode().decode("latin-1")) == "grüße"
    assert safe.wire("gr\xfc\xdfe") == "gr\xfc\xdfe"
