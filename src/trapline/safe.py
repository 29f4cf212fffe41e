"""Safe: what strangers wrote, made harmless for a terminal, a CSV cell, a page.

Every command shows foreign text through here and nowhere else, so there is one place to
be right.  Must not be in here: colours, layout, anything that trusts its argument.
"""

import html as _html
import re
from typing import Final

CUT: Final = "…"
# Printable by Unicode's book, yet they show nothing, or pile up on a neighbour for ever.
_HIDDEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f"
    "\U0001d159\U0001d173-\U0001d17a\U000e0100-\U000e01ef]"
    "|(?<=[\u0300-\u036f\u0483-\u0489\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{2})"
    "[\u0300-\u036f\u0483-\u0489\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
)
_FORMULA: Final = "=+-@|%\uff1d\uff0b\uff0d\uff20"  # the last four: full-width forms


def text(foreign: str, limit: int = 200) -> str:
    r"""Return the text on one line, fit for a terminal, at most ``limit`` characters.

    Control characters (C0, C1, ESC), line ends, bidirectional overrides, zero-width and
    unassigned characters and lone surrogates are shown as ``\x1b`` or ``\u202e``.
    """
    shown = foreign[: limit + 1]  # whoever sends a gigabyte pays for its head alone
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(c if c.isprintable() else _escape(c) for c in shown)
        shown = _HIDDEN.sub(lambda m: _escape(m[0]), shown)
    return shown if len(shown) <= limit else shown[: max(0, limit - 1)] + CUT


def wire(foreign: str) -> str:
    """Read latin-1 text of the wire (see ``events``) as UTF-8, where it is that."""
    if foreign.isascii():
        return foreign
    try:
        return foreign.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return foreign


def csv_cell(foreign: str, limit: int = 32_000) -> str:
    """Return the text fit for a CSV cell: no line ends, and never read as a formula.

    Quoting is the CSV writer's; the apostrophe in front is what spreadsheets take as
    "text follows".  Source: OWASP, "CSV Injection".
    """
    shown = text(foreign, limit)
    risky = shown.lstrip(" '\"")[:1]
    return f"'{shown}" if risky and risky in _FORMULA else shown


def html(foreign: str, limit: int = 2000) -> str:
    """Return the text fit for HTML, in an element or between the quotes of an attribute."""
    return _html.escape(text(foreign, limit), quote=True)


def url(foreign: str, limit: int = 200) -> str:
    """Return a URL defanged, so that no terminal or mail program makes it a link."""
    return text(defang(foreign), limit)


def defang(link: str) -> str:
    """Return ``hxxp://evil[.]example/path`` for a URL, ``evil[.]example`` for a name."""
    scheme, mark, rest = link.partition("://")
    if not mark:
        scheme, rest = "", link
    host, slash, path = rest.partition("/")
    scheme = re.sub("(?i)^h(t+)p", lambda m: "h" + "x" * len(m[1]) + "p", scheme)
    scheme = re.sub("(?i)^ftp", "fxp", scheme)
    return f"{scheme}{mark}{host.replace('.', '[.]').replace('@', '[@]')}{slash}{path}"


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
