"""Dots at the start of lines: the one search finds nothing that the careful one would not."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from trapline import dots

PIECES = st.sampled_from([b"\r\n", b".", b"x", b"\r", b"\n", b"\r\n."])
DATA = st.lists(PIECES, max_size=9).map(lambda pieces: b"".join(pieces) + b"\r\n.\r\n")


@hypothesis(max_examples=500)
@given(DATA, st.integers(0, 9))
def test_one_search_finds_what_the_careful_one_finds(chunk: bytes, start: int) -> None:
    """Planted faults: a dot on the first line overlooked; a bare LF before the only dot."""
    start = min(start, len(chunk))
    end = dots.only_end_of_data(chunk, start)
    if end:
        window, at = b"\r\n" + chunk[start:], end - start + 2
        assert dots.undotted(window[:at], line_start=False) == window[:at]
        for loose in (True, False):
            assert dots.end_of_data(window, loose=loose) == (at, at + 3)


@pytest.mark.parametrize(
    ("chunk", "end"),
    [
        (b"x\r\n.\r\nQUIT\r\n", 3),
        (b"\r\n.\r\n", 2),
        (b"x\r\n..\r\n.\r\n", 0),
        (b".x\r\n.\r\n", 0),
        (b"x\n.\r\n.\r\n", 0),
        (b"x\r\n.\r", 0),
        (b".\r\n", 0),
        (b"", 0),
    ],
)
def test_only_the_plain_case_is_found_at_once(chunk: bytes, end: int) -> None:
    """Anything doubtful is left to the careful search."""
    assert dots.only_end_of_data(chunk, 0) == end
