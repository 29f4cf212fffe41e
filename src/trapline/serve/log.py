"""The log: standard error, for the operator; never a word of it for a stranger.

Must not be in here: what belongs into the journal.
"""

import sys
import traceback
from typing import Final

from trapline import safe

REMEMBERED: Final = 1000  # places in the code whose traceback was shown
EXCERPT: Final = 8000  # characters of a traceback that are shown


class Log:
    """Standard error, for the operator: one line a happening, one traceback a place."""

    __slots__ = ("_shown", "_who")

    def __init__(self, who: str) -> None:
        self._who = who
        self._shown: set[tuple[str, int]] = set()

    def __call__(self, text: str) -> None:
        """Write a line; what strangers sent in it cannot act on a terminal."""
        lines = (safe.text(line, EXCERPT) for line in text.splitlines())
        sys.stderr.write("".join(f"trapline {self._who}: {line}\n" for line in lines))
        sys.stderr.flush()

    def once(self, trouble: BaseException) -> None:
        """Show the traceback of an error unless one from the same place was shown."""
        frames = traceback.extract_tb(trouble.__traceback__)
        where = (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)
        if where in self._shown or len(self._shown) >= REMEMBERED:
            return
        self._shown.add(where)
        self("".join(traceback.format_exception(trouble, limit=-12))[-EXCERPT:])
